//! A process that is killed while it commits loses nothing that it acknowledged. The long form
//! takes the number of rounds from `TIERCEL_KILL_ROUNDS`.

use std::env;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use crate::model::{self, ALWAYS, Model, NEVER};
use tiercel_container::OsVfs;
use tiercel_store::{Options, Store};

/// The directory of the process to be killed; set only for that process.
const VICTIM: &str = "TIERCEL_KILL_VICTIM";
/// Set if its commits are not synced.
const UNSYNCED: &str = "TIERCEL_KILL_UNSYNCED";

/// Batches are determined by their numbers.
fn batch(sequence: u64) -> tiercel_store::Batch {
    model::batch(&mut model::Random(sequence))
}

fn open(dir: &Path, options: Options) -> Store {
    Store::open(Arc::new(OsVfs), dir, options).unwrap()
}

/// The killed process: it commits batch after batch, and acknowledges each by a line with its
/// number.
#[test]
fn victim() {
    let Some(dir) = env::var_os(VICTIM) else { return };
    let options = if env::var_os(UNSYNCED).is_some() { NEVER } else { ALWAYS };
    let store = open(&PathBuf::from(dir), options);
    loop {
        let applied = store.commit(batch(store.reader().sequence() + 1), |_| ()).unwrap();
        writeln!(io::stdout(), "acknowledged {}", applied.sequence).unwrap();
        match applied.sequence % 40 {
            0 => store.compact().unwrap(),
            20 => store.apply(|| ()).unwrap(),
            _ => {}
        }
    }
}

#[test]
fn killed_processes_lose_nothing() {
    kill(false);
}

#[test]
fn killed_processes_lose_nothing_that_was_not_synced() {
    kill(true);
}

fn kill(unsynced: bool) {
    let rounds = env::var("TIERCEL_KILL_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(10);
    let dir = env::temp_dir().join(format!("tiercel-store-{}-kill-{unsynced}", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    Store::create(Arc::new(OsVfs), &dir, ALWAYS, &[]).unwrap().close().unwrap();
    let mut model = Model::default();
    for round in 0..rounds {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["kill::victim", "--exact", "--nocapture"]).env(VICTIM, &dir);
        if unsynced {
            command.env(UNSYNCED, "1");
        }
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut acknowledged = model.sequence;
        let mut left = 1 + model::Random(round).below(60);
        while let Some(Ok(line)) = lines.next() {
            // The test harness also prints, maybe on the same line.
            let Some((_, number)) = line.split_once("acknowledged ") else { continue };
            acknowledged = number.parse().unwrap_or(acknowledged);
            left = left.saturating_sub(1);
            if left == 0 {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        let store = open(&dir, ALWAYS);
        let found = Model::of(&store.reader()).unwrap();
        assert!(found.sequence >= acknowledged, "round {round}: {acknowledged} acknowledged, {} left", found.sequence);
        while model.sequence < found.sequence {
            model.commit(&batch(model.sequence + 1));
        }
        assert_eq!(found, model, "round {round}");
        assert_eq!(store.verify().unwrap(), []);
    }
    std::fs::remove_dir_all(&dir).unwrap();
}
