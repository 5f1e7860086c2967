//! Where log lines end up: stderr, or a file that can be opened again.

use super::super::failure::plain;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// The writing end, owned by the log's thread.
pub(super) struct Sink {
    place: Place,
    reopen: Reopen,
}

enum Place {
    Stderr(io::Stderr),
    File {
        path: PathBuf,
        file: BufWriter<File>,
    },
}

/// Asks the log's thread to open its file again, and counts what it could not write.
#[derive(Clone, Default)]
pub(in super::super) struct Reopen {
    is_asked: Arc<AtomicBool>,
    lines_failed: Arc<AtomicUsize>,
}

impl Reopen {
    /// Opens the file again, under its name, before the next line; that line says so.
    pub(in super::super) fn ask(&self) {
        self.is_asked.store(true, Ordering::Relaxed);
        tracing::info!(event = "log_reopened");
    }

    /// Times that the disk did not take what it was given; one line at least each time.
    pub(super) fn lines_failed(&self) -> usize {
        self.lines_failed.load(Ordering::Relaxed)
    }
}

impl Sink {
    /// Opens the file, with the folders above it; without a path it is stderr.
    pub(super) fn open(path: Option<&Path>) -> io::Result<Self> {
        let place = match path {
            None => Place::Stderr(io::stderr()),
            Some(path) => Place::File {
                path: path.into(),
                file: BufWriter::new(open(path)?),
            },
        };
        Ok(Self {
            place,
            reopen: Reopen::default(),
        })
    }

    pub(super) fn reopen(&self) -> Reopen {
        self.reopen.clone()
    }

    fn open_again(&mut self) {
        let Place::File { path, file } = &mut self.place else {
            return;
        };
        let _ = file.flush();
        match open(path) {
            Ok(fresh) => *file = BufWriter::new(fresh),
            // The old file goes on; the line is the only way to say it.
            Err(e) => {
                let _ = writeln!(file, "event=log_not_reopened error={:?}", plain(&e));
            }
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    if let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder)?;
    }
    OpenOptions::new().create(true).append(true).open(path)
}

/// Takes whole lines, one per call. A failure is counted, not returned: nobody could act on it.
impl Write for Sink {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.reopen.is_asked.swap(false, Ordering::Relaxed) {
            self.open_again();
        }
        let result = match &mut self.place {
            Place::Stderr(stderr) => stderr.write_all(line),
            Place::File { file, .. } => file.write_all(line),
        };
        if result.is_err() {
            self.reopen.lines_failed.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let result = match &mut self.place {
            Place::Stderr(stderr) => stderr.flush(),
            Place::File { file, .. } => file.flush(),
        };
        if result.is_err() {
            self.reopen.lines_failed.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder of this test, gone with the value.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let name = format!("obring-{name}-{}", std::process::id());
            let path = std::env::temp_dir().join(name);
            std::fs::create_dir_all(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_moved_file_is_left_and_a_new_one_begun() {
        let folder = Folder::new("sink");
        let (path, moved) = (folder.0.join("log/a.log"), folder.0.join("log/a.log.1"));
        let mut sink = Sink::open(Some(&path)).unwrap();
        sink.write_all(b"one\n").unwrap();
        sink.flush().unwrap();
        std::fs::rename(&path, &moved).unwrap();
        sink.write_all(b"two\n").unwrap();
        sink.reopen().ask();
        sink.write_all(b"three\n").unwrap();
        sink.flush().unwrap();
        assert_eq!(std::fs::read_to_string(&moved).unwrap(), "one\ntwo\n");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "three\n");
    }

    #[test]
    fn a_file_that_cannot_be_opened_again_goes_on() {
        let folder = Folder::new("sink-gone");
        let path = folder.0.join("log/a.log");
        let mut sink = Sink::open(Some(&path)).unwrap();
        let moved = folder.0.join("moved");
        std::fs::rename(folder.0.join("log"), &moved).unwrap();
        std::fs::write(folder.0.join("log"), "in the way").unwrap();
        sink.reopen().ask();
        sink.write_all(b"line\n").unwrap();
        sink.flush().unwrap();
        let text = std::fs::read_to_string(moved.join("a.log")).unwrap();
        assert!(text.starts_with("event=log_not_reopened error=") && text.ends_with("\nline\n"));
    }

    #[test]
    fn lines_that_the_disk_does_not_take_are_counted() {
        let mut sink = Sink::open(Some(Path::new("/dev/full"))).unwrap();
        // Longer than the buffer, so that it goes to the device at once.
        sink.write_all(&[b'x'; 16 << 10]).unwrap();
        assert_eq!(sink.reopen().lines_failed(), 1);
        sink.write_all(b"short\n").unwrap();
        sink.flush().unwrap();
        assert_eq!(sink.reopen().lines_failed(), 2);
    }
}
