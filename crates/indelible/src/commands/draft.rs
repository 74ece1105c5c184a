//! A file that gets its name when it is whole. Dropped before that, it leaves nothing behind.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A file being written beside its place.
#[derive(Debug)]
pub(crate) struct Draft {
    file: File,
    draft: PathBuf,
    place: PathBuf,
    whole: bool,
}

impl Draft {
    /// Starts a file that shall be `place` in the end.
    pub(crate) fn new(place: &Path) -> io::Result<Self> {
        let name = place.file_name().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "not the name of a file"))?;
        let mut hidden = OsString::from(".");
        hidden.push(name);
        hidden.push(format!(".{}.part", std::process::id()));
        let draft = place.with_file_name(hidden);
        let file = OpenOptions::new().write(true).create_new(true).open(&draft)?;
        Ok(Self { file, draft, place: place.to_owned(), whole: false })
    }
    /// Where the bytes are until the end.
    pub(crate) fn path(&self) -> &Path {
        &self.draft
    }
    /// Puts the file in its place; it is on disk when this returns.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        put(&self.file, &self.draft, &self.place)?;
        self.whole = true;
        Ok(())
    }
}

/// Gives a file that is whole another name; it is on disk when this returns.
#[expect(clippy::disallowed_methods, reason = "a file for a person, outside of the archive: it and its directory are synced here")]
pub(crate) fn put(file: &File, from: &Path, to: &Path) -> io::Result<()> {
    file.sync_all()?;
    fs::rename(from, to)?;
    let folder = to.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

impl Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.whole {
            let _gone = fs::remove_file(&self.draft);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_file_gets_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("out.csv");
        fs::write(&place, "before").unwrap();
        let mut draft = Draft::new(&place).unwrap();
        draft.write_all(b"half").unwrap();
        drop(draft);
        assert_eq!(fs::read_to_string(&place).unwrap(), "before");
        let mut draft = Draft::new(&place).unwrap();
        draft.write_all(b"whole").unwrap();
        draft.finish().unwrap();
        assert_eq!(fs::read_to_string(&place).unwrap(), "whole");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
