//! Objects as files of a local directory. Syncs the bytes, the name and each new folder before it confirms an object.
//!
//! Writers of one process that want the same name at once are kept apart; a directory belongs to one process.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use indelible_model::{Error, Kind, Result};

use super::{full, gone, outside, taken};

/// The directory, and which of its objects are being written.
#[derive(Clone, Debug)]
pub(super) struct Directory {
    root: Arc<PathBuf>,
    claims: Arc<Claims>,
}

#[derive(Debug, Default)]
struct Claims {
    targets: Mutex<HashSet<PathBuf>>,
    released: Condvar,
}

/// The right to write an object; given back when dropped.
struct Claim {
    claims: Arc<Claims>,
    target: PathBuf,
}

/// A file being written beside its target.
pub(super) struct Writer {
    out: BufWriter<File>,
    root: Arc<PathBuf>,
    temporary: PathBuf,
    claim: Claim,
    written: u64,
    finished: bool,
}

/// An open file.
#[derive(Clone, Debug)]
pub(super) struct Opened {
    file: Arc<File>,
    len: u64,
}

/// A path with more at its end. What is written has its own name behind the whole of its target's, so that no two targets share it.
fn longer(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    PathBuf::from(name)
}

fn failed(what: &str, path: &Path) -> impl Fn(io::Error) -> Error {
    let what = format!("{what} {}", path.display());
    move |e| match e.kind() {
        io::ErrorKind::NotFound => gone(format!("{what}: {e}")),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => full(format!("{what}: {e}")),
        _ => Error::internal(format!("{what}: {e}")),
    }
}

fn sync_failed(path: &Path) -> impl Fn(io::Error) -> Error {
    let path = path.display().to_string();
    move |e| match e.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => full(format!("sync {path}: {e}")),
        _ => Error::new(Kind::SyncFailed, "The disk failed to confirm a write.").with_internal(format!("sync {path}: {e}")),
    }
}

impl Claims {
    fn targets(&self) -> MutexGuard<'_, HashSet<PathBuf>> {
        self.targets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.claims.targets().remove(&self.target);
        self.claims.released.notify_all();
    }
}

impl Directory {
    pub(super) fn open(root: &Path) -> Result<Self> {
        fs::create_dir_all(root).map_err(failed("create", root))?;
        if let Some(parent) = root.parent().filter(|p| !p.as_os_str().is_empty()) {
            File::open(parent).and_then(|f| f.sync_all()).map_err(sync_failed(parent))?;
        }
        Ok(Self { root: Arc::new(root.to_path_buf()), claims: Arc::default() })
    }
    pub(super) fn probe(&self) -> Result<()> {
        match fs::read_dir(&*self.root) {
            Ok(_) => Ok(()),
            Err(e) => Err(Error::new(Kind::Unavailable(5), "The directory of the objects cannot be read.").with_internal(format!("{}: {e}", self.root.display()))),
        }
    }
    pub(super) fn create(&self, key: &str) -> Result<Writer> {
        let target = self.root.join(key);
        if !self.claims.targets().insert(target.clone()) {
            return Err(taken(format!("{key} is being written")));
        }
        let temporary = longer(&target, ".part");
        self.begin(Claim { claims: Arc::clone(&self.claims), target }, temporary)
    }
    pub(super) fn replace(&self, key: &str, bytes: &[u8]) -> Result<()> {
        let target = self.root.join(key);
        let mut targets = self.claims.targets();
        while !targets.insert(target.clone()) {
            targets = self.claims.released.wait(targets).unwrap_or_else(PoisonError::into_inner);
        }
        drop(targets);
        // A command may replace it at the same time as the server: each process writes a file of its own.
        let temporary = longer(&target, &format!(".{}.part", std::process::id()));
        let mut writer = self.begin(Claim { claims: Arc::clone(&self.claims), target }, temporary)?;
        writer.write_all(bytes).map_err(failed("write", &writer.temporary))?;
        writer.close(true)
    }
    fn begin(&self, claim: Claim, temporary: PathBuf) -> Result<Writer> {
        let folder = claim.target.parent().unwrap_or(&self.root);
        fs::create_dir_all(folder).map_err(failed("create", folder))?;
        let file = OpenOptions::new().write(true).create(true).truncate(true).open(&temporary).map_err(failed("create", &temporary))?;
        Ok(Writer { out: BufWriter::with_capacity(256 << 10, file), root: Arc::clone(&self.root), temporary, claim, written: 0, finished: false })
    }
    pub(super) fn get(&self, key: &str, len: Option<u64>) -> Result<Opened> {
        let path = self.root.join(key);
        let file = File::open(&path).map_err(failed("open", &path))?;
        let found = file.metadata().map_err(failed("stat", &path))?.len();
        match len {
            Some(len) if len != found => Err(Error::corrupt(format!("{key} has {found} bytes instead of {len}"))),
            _ => Ok(Opened { file: Arc::new(file), len: found }),
        }
    }
    pub(super) fn delete(&self, key: &str) -> Result<()> {
        let path = self.root.join(key);
        for file in [&path, &longer(&path, ".part")] {
            match fs::remove_file(file) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(failed("delete", file)(e)),
                _ => {}
            }
        }
        if let Some(folder) = path.parent().filter(|f| *f != self.root.as_path()) {
            // Fails while other objects are in it, which is as it should be.
            let _ = fs::remove_dir(folder);
        }
        Ok(())
    }
    pub(super) fn list(&self, prefix: &str) -> Result<Vec<String>> {
        let mut keys = Vec::new();
        let mut folders = vec![self.root.join(prefix)];
        while let Some(folder) = folders.pop() {
            let entries = match fs::read_dir(&folder) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                entries => entries.map_err(failed("list", &folder))?,
            };
            for entry in entries {
                let path = entry.map_err(failed("list", &folder))?.path();
                if path.is_dir() {
                    folders.push(path);
                } else if let Ok(key) = path.strip_prefix(self.root.as_path()) {
                    keys.push(key.to_string_lossy().into_owned());
                }
            }
        }
        Ok(keys)
    }
}

impl Writer {
    pub(super) fn written(&self) -> u64 {
        self.written
    }
    /// Syncs the bytes, gives the object its name and syncs the folders.
    #[expect(clippy::disallowed_methods, reason = "the one place that gives objects their names")]
    pub(super) fn close(&mut self, replace: bool) -> Result<()> {
        let target = &self.claim.target;
        self.out.flush().map_err(failed("write", &self.temporary))?;
        self.out.get_ref().sync_data().map_err(sync_failed(&self.temporary))?;
        if !replace && target.exists() {
            return Err(taken(target.display()));
        }
        fs::rename(&self.temporary, target).map_err(failed("rename", target))?;
        self.finished = true;
        // New folders are only durable once their parents are synced, up to the root.
        let folders = target.ancestors().skip(1).take_while(|f| f.starts_with(&*self.root));
        for folder in folders {
            File::open(folder).and_then(|f| f.sync_all()).map_err(sync_failed(folder))?;
        }
        Ok(())
    }
}

impl Write for Writer {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let n = self.out.write(buf)?;
        self.written += n as u64;
        Ok(n)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if !self.finished {
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

impl Opened {
    pub(super) fn len(&self) -> u64 {
        self.len
    }
    pub(super) fn file(&self) -> &Arc<File> {
        &self.file
    }
    pub(super) fn read(&self, start: u64, len: usize) -> Result<Vec<u8>> {
        let mut out = vec![0; len];
        match self.file.read_exact_at(&mut out, start) {
            Ok(()) => Ok(out),
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Err(outside(start, len)),
            Err(e) => Err(Error::corrupt(format!("read of {len} bytes at {start}: {e}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_object_outlives_its_deletion_and_leaves_no_folder() {
        let dir = tempfile::tempdir().unwrap();
        let objects = Directory::open(dir.path()).unwrap();
        objects.replace("a/x", b"data").unwrap();
        let open = objects.get("a/x", None).unwrap();
        objects.delete("a/x").unwrap();
        assert_eq!(open.read(0, 4).unwrap(), b"data");
        assert!(!dir.path().join("a").exists());
    }

    #[test]
    fn a_replacement_leaves_alone_what_another_process_writes() {
        let dir = tempfile::tempdir().unwrap();
        let objects = Directory::open(dir.path()).unwrap();
        fs::write(dir.path().join("m.part"), b"another's").unwrap();
        objects.replace("m", b"ours").unwrap();
        assert_eq!(fs::read(dir.path().join("m")).unwrap(), b"ours");
        assert_eq!(fs::read(dir.path().join("m.part")).unwrap(), b"another's");
    }

    #[test]
    fn what_a_crash_left_is_written_over_and_deleted() {
        let dir = tempfile::tempdir().unwrap();
        let objects = Directory::open(dir.path()).unwrap();
        fs::write(dir.path().join("x.part"), b"left by a crash").unwrap();
        let mut writer = objects.create("x").unwrap();
        writer.write_all(b"new").unwrap();
        writer.close(false).unwrap();
        assert_eq!(objects.get("x", Some(3)).unwrap().read(0, 3).unwrap(), b"new");
        fs::write(dir.path().join("y.part"), b"left by a crash").unwrap();
        objects.delete("y").unwrap();
        assert_eq!(objects.list("").unwrap(), ["x"]);
    }

    #[test]
    fn names_with_the_same_beginning_are_written_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let objects = Directory::open(dir.path()).unwrap();
        let keys = ["a/x.csv", "a/x.csv.gz", "a/x.part"];
        let mut writers = keys.map(|key| objects.create(key).unwrap());
        for (key, writer) in keys.iter().zip(&mut writers) {
            writer.write_all(key.as_bytes()).unwrap();
        }
        writers.iter_mut().for_each(|w| w.close(false).unwrap());
        for key in keys {
            assert_eq!(objects.get(key, None).unwrap().read(0, key.len()).unwrap(), key.as_bytes());
        }
        objects.delete("a/x.csv").unwrap();
        let mut left = objects.list("").unwrap();
        left.sort();
        assert_eq!(left, keys[1..]);
    }

    #[test]
    fn replacing_at_once_leaves_one_whole_object() {
        let dir = tempfile::tempdir().unwrap();
        let objects = Directory::open(dir.path()).unwrap();
        std::thread::scope(|s| {
            for i in 0..8u8 {
                let objects = &objects;
                s.spawn(move || objects.replace("m", &vec![i; 100_000]).unwrap());
            }
        });
        let all = objects.get("m", Some(100_000)).unwrap().read(0, 100_000).unwrap();
        assert!(all.iter().all(|b| *b == all[0]));
    }
}
