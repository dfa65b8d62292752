//! Keeps the measurements of candidates that are measured in turns, and drops those that are too slow.

use serde::Serialize;

use super::{Candidate, Goal, Trial};

/// All candidates with their measurements.
#[derive(Debug, Clone)]
pub struct Race {
    goal: Goal,
    standings: Vec<Standing>,
}

/// The measurements of one candidate.
#[derive(Debug, Clone, Serialize)]
pub struct Standing {
    /// The candidate.
    pub candidate: Candidate,
    /// One measurement per round.
    pub trials: Vec<Trial>,
    /// Whether it is still measured.
    pub running: bool,
}

/// Candidates are dropped if they reach less than this share of the best median. On a shared machine, rounds
/// of one candidate differ by up to a tenth.
const STAYS: f64 = 0.88;

impl Standing {
    /// Images per second: median, minimum and maximum of the rounds.
    #[must_use]
    pub fn rates(&self) -> [f64; 3] {
        let mut rates: Vec<f64> = self.trials.iter().map(|trial| trial.images_per_second).collect();
        rates.sort_by(f64::total_cmp);
        match rates[..] {
            [] => [0.0; 3],
            // Of an even number the lower one, so that two rounds do not count as their best.
            [.., highest] => [rates[(rates.len() - 1) / 2], rates[0], highest],
        }
    }

    /// The 99th percentile of latency in milliseconds, median of the rounds.
    #[must_use]
    pub fn p99_ms(&self) -> f64 {
        let mut p99: Vec<f64> = self.trials.iter().map(|trial| trial.p99_ms).collect();
        p99.sort_by(f64::total_cmp);
        p99.get(p99.len() / 2).copied().unwrap_or(0.0)
    }
}

impl Race {
    /// A race without measurements.
    #[must_use]
    pub fn new(goal: Goal, candidates: Vec<Candidate>) -> Self {
        let standing = |candidate| Standing { candidate, trials: Vec::new(), running: true };
        Self { goal, standings: candidates.into_iter().map(standing).collect() }
    }

    /// What to optimise.
    #[must_use]
    pub fn goal(&self) -> Goal {
        self.goal
    }

    /// The candidates that are still measured, in order.
    #[must_use]
    pub fn running(&self) -> Vec<Candidate> {
        let running = self.standings.iter().filter(|standing| standing.running);
        running.map(|standing| standing.candidate).collect()
    }

    /// Adds a measurement of `candidate`.
    pub fn note(&mut self, candidate: Candidate, trial: Trial) {
        for standing in &mut self.standings {
            if standing.candidate == candidate {
                standing.trials.push(trial);
            }
        }
    }

    /// Drops candidates that are too far behind the best.
    pub fn drop_losers(&mut self) {
        let Some(best) = self.best().map(|best| best.rates()[0]) else { return };
        for standing in &mut self.standings {
            standing.running &= standing.rates()[0] >= STAYS * best;
        }
    }

    /// All candidates, the best first.
    #[must_use]
    pub fn ranking(&self) -> Vec<&Standing> {
        let mut ranking: Vec<_> = self.standings.iter().collect();
        // Candidates that were dropped early have fewer rounds, and come after the others.
        ranking
            .sort_by(|a, b| b.running.cmp(&a.running).then(b.rates()[0].total_cmp(&a.rates()[0])));
        ranking
    }

    /// The best candidate that reached the goal.
    #[must_use]
    pub fn best(&self) -> Option<&Standing> {
        self.standings
            .iter()
            .filter(|standing| standing.running && standing.rates()[0] > 0.0)
            .max_by(|a, b| a.rates()[0].total_cmp(&b.rates()[0]))
    }

    /// The candidate to serve: the best one, or `usual`, which is one of the candidates, if the difference is within the
    /// variation of the rounds.
    #[must_use]
    pub fn verdict(&self, usual: Candidate) -> Option<(&Standing, Certainty)> {
        let best = self.best()?;
        // A candidate that was dropped has fewer rounds, so its rates are not compared: a machine that becomes slower
        // would favour it.
        let running = |standing: &&Standing| standing.candidate == usual && standing.running;
        match self.standings.iter().find(running) {
            Some(usual) if best.candidate == usual.candidate => Some((usual, Certainty::Usual)),
            Some(usual) if best.rates()[1] <= usual.rates()[2] => {
                Some((usual, Certainty::WithinNoise))
            }
            Some(_) => Some((best, Certainty::Better)),
            None => Some((best, Certainty::DefaultDropped)),
        }
    }
}

/// The certainty of the choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Certainty {
    /// The default is the fastest.
    Usual,
    /// Another one has a faster median, but is not faster in every round: the default is kept.
    WithinNoise,
    /// In all rounds faster than the default in its best round.
    Better,
    /// The default was dropped as too slow in an earlier round.
    DefaultDropped,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Precision;

    fn candidate(max_batch: usize) -> Candidate {
        Candidate { precision: Precision::Fp32, sessions: 2, threads: 1, max_batch }
    }

    fn race(rates: &[(usize, &[f64])]) -> Race {
        let candidates = rates.iter().map(|(max_batch, _)| candidate(*max_batch)).collect();
        let mut race = Race::new(Goal::Throughput, candidates);
        for (max_batch, rates) in rates {
            for &images_per_second in *rates {
                let trial = Trial { images_per_second, p99_ms: 1.0, clients: 8 };
                race.note(candidate(*max_batch), trial);
            }
        }
        race
    }

    #[test]
    fn the_default_is_kept_unless_another_is_faster_in_every_round() {
        let verdict = |rates: &[(usize, &[f64])]| {
            let race = race(rates);
            let (standing, verdict) = race.verdict(candidate(4)).unwrap();
            (standing.candidate.max_batch, verdict)
        };
        assert_eq!(verdict(&[(1, &[90.0, 99.0]), (4, &[100.0, 101.0])]), (4, Certainty::Usual));
        let near = [(1, &[99.0, 110.0, 112.0][..]), (4, &[100.0, 101.0, 102.0])];
        assert_eq!(verdict(&near), (4, Certainty::WithinNoise));
        let clear = [(1, &[103.0, 110.0, 112.0][..]), (4, &[100.0, 101.0, 102.0])];
        assert_eq!(verdict(&clear), (1, Certainty::Better));
        assert!(race(&[(4, &[0.0])]).verdict(candidate(4)).is_none(), "the goal is not reached");
    }

    #[test]
    fn a_default_that_was_dropped_is_not_compared_with_later_rounds() {
        let mut race = race(&[(1, &[100.0]), (4, &[80.0])]);
        race.drop_losers();
        // The machine becomes slower than it was when the default was measured.
        race.note(candidate(1), Trial { images_per_second: 70.0, p99_ms: 1.0, clients: 8 });
        let (standing, certainty) = race.verdict(candidate(4)).unwrap();
        assert_eq!((standing.candidate, certainty), (candidate(1), Certainty::DefaultDropped));
    }

    #[test]
    fn slow_candidates_are_dropped_and_rank_last() {
        let mut race = race(&[(1, &[50.0]), (4, &[100.0]), (16, &[95.0])]);
        race.drop_losers();
        assert_eq!(race.running(), [candidate(4), candidate(16)]);
        race.note(candidate(4), Trial { images_per_second: 20.0, p99_ms: 1.0, clients: 8 });
        let order: Vec<_> =
            race.ranking().iter().map(|standing| standing.candidate.max_batch).collect();
        assert_eq!(order[2], 1);
    }
}
