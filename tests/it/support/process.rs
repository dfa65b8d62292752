//! The program as a child process.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// The program, serving on a free port.
pub(crate) struct Process {
    pub(crate) child: Child,
    pub(crate) url: String,
}

impl Process {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::spawn(&mut Self::command("warn", arguments))
    }

    /// The same in this folder.
    pub(crate) fn start_in(folder: &Path, arguments: &[&str]) -> Self {
        Self::spawn(Self::command("warn", arguments).current_dir(folder))
    }

    /// The same with an environment variable.
    pub(crate) fn start_with(variable: &str, value: &str, arguments: &[&str]) -> Self {
        Self::spawn(Self::command("warn", arguments).env(variable, value))
    }

    /// The same with its log lines, of this level and above, in `log`.
    pub(crate) fn start_logging(log: File, level: &str, arguments: &[&str]) -> Self {
        Self::spawn(Self::command(level, arguments).stderr(log))
    }

    fn command(level: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_resnetd"));
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--log", level, "--device", "cpu"])
            .args(arguments)
            .stdout(Stdio::piped());
        command
    }

    fn spawn(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap();
        let mut ready = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut ready).unwrap();
        // Standard output is not a terminal, so it has only JSON.
        let ready: serde_json::Value = serde_json::from_str(&ready).unwrap();
        let url = ready["url"].as_str().unwrap().to_owned();
        assert!(url.starts_with("http"), "{ready}");
        Self { child, url }
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
