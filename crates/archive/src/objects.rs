//! Immutable objects in a local directory.
//!
//! Promises: an object is there whole or not at all, under a name that is written once; after
//! [`ObjectWriter::finish`] both its bytes and its name are on disk. A failed sync is [`Kind::SyncFailed`].

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use indelible_model::{Error, Kind, Result};

/// A directory of objects. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Objects {
    root: Arc<PathBuf>,
}

/// An object being written. Dropping it leaves no object.
pub struct ObjectWriter {
    out: BufWriter<File>,
    root: Arc<PathBuf>,
    temporary: PathBuf,
    target: PathBuf,
    written: u64,
    finished: bool,
}

/// An open object; it stays readable after deletion.
#[derive(Clone, Debug)]
pub struct Object {
    file: Arc<File>,
    len: u64,
}

fn failed(what: &str, path: &Path) -> impl Fn(io::Error) -> Error {
    let what = format!("{what} {}", path.display());
    move |e| match e.kind() {
        io::ErrorKind::NotFound => Error::not_found("Object").with_internal(format!("{what}: {e}")),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::new(Kind::StorageFull(5), "The disk is full.").with_internal(format!("{what}: {e}")),
        _ => Error::internal(format!("{what}: {e}")),
    }
}

fn sync_failed(path: &Path) -> impl Fn(io::Error) -> Error {
    let path = path.display().to_string();
    move |e| match e.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::new(Kind::StorageFull(5), "The disk is full.").with_internal(format!("sync {path}: {e}")),
        _ => Error::new(Kind::SyncFailed, "The disk failed to confirm a write.").with_internal(format!("sync {path}: {e}")),
    }
}

impl Objects {
    /// Opens or creates the directory.
    pub fn open(root: &Path) -> Result<Self> {
        fs::create_dir_all(root).map_err(failed("create", root))?;
        if let Some(parent) = root.parent().filter(|p| !p.as_os_str().is_empty()) {
            File::open(parent).and_then(|f| f.sync_all()).map_err(sync_failed(parent))?;
        }
        Ok(Self { root: Arc::new(root.to_path_buf()) })
    }
    /// Begins an object. Fails with [`Kind::Conflict`] at the end if the name is taken by then.
    pub fn create(&self, key: &str) -> Result<ObjectWriter> {
        let target = self.root.join(key);
        let folder = target.parent().unwrap_or(&self.root).to_path_buf();
        fs::create_dir_all(&folder).map_err(failed("create", &folder))?;
        let temporary = target.with_extension("part");
        let file = OpenOptions::new().write(true).create(true).truncate(true).open(&temporary).map_err(failed("create", &temporary))?;
        Ok(ObjectWriter { out: BufWriter::with_capacity(256 << 10, file), root: Arc::clone(&self.root), temporary, target, written: 0, finished: false })
    }
    /// Replaces an object that is not immutable (a published manifest) by a new whole one.
    pub fn replace(&self, key: &str, bytes: &[u8]) -> Result<()> {
        let mut writer = self.create(key)?;
        writer.write_all(bytes).map_err(failed("write", &writer.temporary))?;
        writer.close(true)
    }
    /// Opens an object; [`Kind::NotFound`] if it is not there.
    pub fn get(&self, key: &str) -> Result<Object> {
        let path = self.root.join(key);
        let file = File::open(&path).map_err(failed("open", &path))?;
        let len = file.metadata().map_err(failed("stat", &path))?.len();
        Ok(Object { file: Arc::new(file), len })
    }
    /// Deletes an object and folders that it leaves empty. Deleting what is not there is no error.
    pub fn delete(&self, key: &str) -> Result<()> {
        let path = self.root.join(key);
        for file in [&path, &path.with_extension("part")] {
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
    /// All keys, unsorted, for checks by the operator; never used to find data.
    pub fn list(&self) -> Result<Vec<String>> {
        let mut keys = Vec::new();
        let mut folders = vec![self.root.to_path_buf()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).map_err(failed("list", &folder))? {
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

impl ObjectWriter {
    /// Bytes written so far.
    pub fn written(&self) -> u64 {
        self.written
    }
    /// Syncs the bytes, gives the object its name and syncs the folder.
    pub fn finish(self) -> Result<()> {
        self.close(false)
    }
    #[expect(clippy::disallowed_methods, reason = "the one place that gives objects their names")]
    fn close(mut self, replace: bool) -> Result<()> {
        self.out.flush().map_err(failed("write", &self.temporary))?;
        self.out.get_ref().sync_data().map_err(sync_failed(&self.temporary))?;
        if !replace && self.target.exists() {
            return Err(Error::new(Kind::Conflict, "The object exists already.").with_internal(self.target.display()));
        }
        fs::rename(&self.temporary, &self.target).map_err(failed("rename", &self.target))?;
        self.finished = true;
        // New folders are only durable once their parents are synced, up to the root.
        let folders = self.target.ancestors().skip(1).take_while(|f| f.starts_with(&*self.root));
        for folder in folders {
            File::open(folder).and_then(|f| f.sync_all()).map_err(sync_failed(folder))?;
        }
        Ok(())
    }
}

impl Write for ObjectWriter {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let n = self.out.write(buf)?;
        self.written += n as u64;
        Ok(n)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl Drop for ObjectWriter {
    fn drop(&mut self) {
        if !self.finished {
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

impl Object {
    /// Bytes of the object.
    pub fn len(&self) -> u64 {
        self.len
    }
    /// True if it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
    /// Exactly `len` bytes from `start`.
    pub fn read(&self, start: u64, len: usize) -> Result<Vec<u8>> {
        let mut out = vec![0; len];
        self.file.read_exact_at(&mut out, start).map_err(|e| Error::corrupt(format!("read of {len} bytes at {start}: {e}")))?;
        Ok(out)
    }
}

impl parquet::file::reader::Length for Object {
    fn len(&self) -> u64 {
        self.len
    }
}

impl parquet::file::reader::ChunkReader for Object {
    type T = io::BufReader<At>;
    fn get_read(&self, start: u64) -> parquet::errors::Result<Self::T> {
        Ok(io::BufReader::new(At { file: Arc::clone(&self.file), at: start }))
    }
    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        let mut out = vec![0; length];
        self.file.read_exact_at(&mut out, start)?;
        Ok(out.into())
    }
}

/// Reads on from an offset without moving anybody else's.
#[derive(Debug)]
pub struct At {
    file: Arc<File>,
    at: u64,
}

impl io::Read for At {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read_at(buf, self.at)?;
        self.at += n as u64;
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_there_whole_or_not_at_all_and_once() {
        let dir = tempfile::tempdir().unwrap();
        let objects = Objects::open(dir.path()).unwrap();
        let mut dropped = objects.create("a/b/rows").unwrap();
        dropped.write_all(b"x").unwrap();
        drop(dropped);
        assert_eq!(objects.get("a/b/rows").unwrap_err().kind(), Kind::NotFound);
        let mut first = objects.create("a/b/rows").unwrap();
        first.write_all(b"hello").unwrap();
        assert_eq!(first.written(), 5);
        first.finish().unwrap();
        assert_eq!(objects.get("a/b/rows").unwrap().read(1, 3).unwrap(), b"ell");
        assert_eq!(objects.get("a/b/rows").unwrap().read(1, 5).unwrap_err().kind(), Kind::Corrupt);
        assert_eq!(objects.create("a/b/rows").unwrap().finish().unwrap_err().kind(), Kind::Conflict);
        objects.replace("a/b/rows", b"new").unwrap();
        assert_eq!(objects.list().unwrap(), ["a/b/rows"]);
    }

    #[test]
    fn an_open_object_outlives_its_deletion_and_deleting_twice_is_no_error() {
        let dir = tempfile::tempdir().unwrap();
        let objects = Objects::open(dir.path()).unwrap();
        objects.replace("a/x", b"data").unwrap();
        let open = objects.get("a/x").unwrap();
        objects.delete("a/x").unwrap();
        objects.delete("a/x").unwrap();
        assert_eq!(open.read(0, 4).unwrap(), b"data");
        assert!(!dir.path().join("a").exists());
    }
}
