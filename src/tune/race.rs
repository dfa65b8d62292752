//! Candidates take turns; those that cannot win any more are dropped.

use std::time::Duration;

use serde::Serialize;

use super::{Candidate, Trial};

/// What is wanted of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Goal {
    /// The most images a second.
    Throughput,
    /// The most images a second of which 99 of 100 are answered within this time.
    Latency(Duration),
}

/// All candidates and what is known of them.
#[derive(Debug, Clone)]
pub struct Race {
    goal: Goal,
    standings: Vec<Standing>,
}

/// One candidate's measurements.
#[derive(Debug, Clone, Serialize)]
pub struct Standing {
    /// Which.
    pub candidate: Candidate,
    /// One a round.
    pub trials: Vec<Trial>,
    /// Whether it is still measured.
    pub running: bool,
}

/// A candidate that reaches less than this share of the best one's median is dropped. Rounds of one
/// candidate differ by up to a tenth on a machine that others use too.
const STAYS: f64 = 0.88;

impl Standing {
    /// Images a second: the median over the rounds, with the lowest and the highest.
    #[must_use]
    pub fn rates(&self) -> [f64; 3] {
        let mut rates: Vec<f64> = self.trials.iter().map(|trial| trial.images_per_second).collect();
        rates.sort_by(f64::total_cmp);
        match rates[..] {
            [] => [0.0; 3],
            [.., highest] => [rates[rates.len() / 2], rates[0], highest],
        }
    }

    /// The slowest of 99 in 100 answers, in the median of the rounds.
    #[must_use]
    pub fn p99_ms(&self) -> f64 {
        let mut p99: Vec<f64> = self.trials.iter().map(|trial| trial.p99_ms).collect();
        p99.sort_by(f64::total_cmp);
        p99.get(p99.len() / 2).copied().unwrap_or(0.0)
    }
}

impl Race {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(goal: Goal, candidates: Vec<Candidate>) -> Self {
        let standing = |candidate| Standing { candidate, trials: Vec::new(), running: true };
        Self { goal, standings: candidates.into_iter().map(standing).collect() }
    }

    /// What is wanted.
    #[must_use]
    pub fn goal(&self) -> Goal {
        self.goal
    }

    /// Those that are still measured, in the order of their turns.
    #[must_use]
    pub fn running(&self) -> Vec<Candidate> {
        let running = self.standings.iter().filter(|standing| standing.running);
        running.map(|standing| standing.candidate).collect()
    }

    /// Notes a measurement of `candidate`.
    pub fn note(&mut self, candidate: Candidate, trial: Trial) {
        for standing in &mut self.standings {
            if standing.candidate == candidate {
                standing.trials.push(trial);
            }
        }
    }

    /// Drops those that are too far behind the best.
    pub fn drop_the_hopeless(&mut self) {
        let Some(best) = self.best().map(|best| best.rates()[0]) else { return };
        for standing in &mut self.standings {
            standing.running &= standing.rates()[0] >= STAYS * best;
        }
    }

    /// All candidates, the best first.
    #[must_use]
    pub fn ranking(&self) -> Vec<&Standing> {
        let mut ranking: Vec<_> = self.standings.iter().collect();
        // A candidate that was dropped early has fewer rounds: those that stayed go before it.
        ranking
            .sort_by(|a, b| b.running.cmp(&a.running).then(b.rates()[0].total_cmp(&a.rates()[0])));
        ranking
    }

    /// The best of those that were measured and met the goal at all.
    #[must_use]
    pub fn best(&self) -> Option<&Standing> {
        self.standings
            .iter()
            .filter(|standing| standing.running && standing.rates()[0] > 0.0)
            .max_by(|a, b| a.rates()[0].total_cmp(&b.rates()[0]))
    }

    /// What should be served: the best, or `usual` where the best is not better than it by more than
    /// the rounds of either differ among themselves.
    #[must_use]
    pub fn verdict(&self, usual: Candidate) -> Option<(&Standing, Certainty)> {
        let best = self.best()?;
        let usual =
            self.standings.iter().find(|standing| standing.candidate == usual && standing.running);
        match usual {
            Some(usual) if best.candidate == usual.candidate => Some((usual, Certainty::Usual)),
            Some(usual) if best.rates()[1] <= usual.rates()[2] => {
                Some((usual, Certainty::WithinNoise))
            }
            Some(_) | None => Some((best, Certainty::Better)),
        }
    }
}

/// How sure the choice is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Certainty {
    /// The default is the fastest.
    Usual,
    /// Another one was faster in the median, not in every round: the default stays.
    WithinNoise,
    /// Slower in none of its rounds than the default in the best of its own.
    Better,
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
    fn the_default_stays_unless_another_is_faster_in_every_round() {
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
    fn those_far_behind_are_dropped_and_rank_last() {
        let mut race = race(&[(1, &[50.0]), (4, &[100.0]), (16, &[95.0])]);
        race.drop_the_hopeless();
        assert_eq!(race.running(), [candidate(4), candidate(16)]);
        race.note(candidate(4), Trial { images_per_second: 20.0, p99_ms: 1.0, clients: 8 });
        let order: Vec<_> =
            race.ranking().iter().map(|standing| standing.candidate.max_batch).collect();
        assert_eq!(order[2], 1);
    }
}
