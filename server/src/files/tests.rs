//! The store on a disk that loses power at every moment: nothing acknowledged is missing.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::*;

/// A file's bytes, as programs see them and as they are on the disk.
#[derive(Clone, Debug, Default)]
struct Node {
    seen: Vec<u8>,
    synced: Vec<u8>,
}

#[derive(Clone, Debug, Default)]
struct State {
    nodes: Vec<Node>,
    /// Names as programs see them, and as they are on the disk; `None` is a folder.
    seen: BTreeMap<PathBuf, Option<usize>>,
    synced: BTreeMap<PathBuf, Option<usize>>,
    /// Operations until the power fails.
    left: usize,
}

/// A disk that drops what was not synced when its power fails, and then fails.
#[derive(Clone, Debug, Default)]
struct Faulty(Rc<RefCell<State>>);

impl Faulty {
    fn power_for(&self, operations: usize) {
        self.0.borrow_mut().left = operations;
    }

    /// As it is found when the power is back. What was not synced is gone, or is there all the same.
    fn after_cut(&self, dropped: bool) -> Self {
        let mut state = self.0.borrow().clone();
        if dropped {
            state.seen = state.synced.clone();
            for node in &mut state.nodes {
                node.seen.clone_from(&node.synced);
            }
        } else {
            state.synced = state.seen.clone();
            for node in &mut state.nodes {
                node.synced.clone_from(&node.seen);
            }
        }
        state.left = usize::MAX;
        Self(Rc::new(RefCell::new(state)))
    }

    fn act<T>(&self, act: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.0.borrow_mut();
        if state.left == 0 {
            return Err(io::Error::other("no power"));
        }
        state.left -= 1;
        act(&mut state)
    }
}

fn not_found<T>() -> io::Result<T> {
    Err(io::ErrorKind::NotFound.into())
}

impl Disk for Faulty {
    type File = usize;

    async fn make_folder(&self, path: &Path) -> io::Result<()> {
        self.act(|state| {
            for folder in path.ancestors() {
                state.seen.entry(folder.to_owned()).or_insert(None);
            }
            Ok(())
        })
    }

    async fn create(&self, path: &Path) -> io::Result<usize> {
        self.act(|state| {
            if let Some(Some(node)) = state.seen.get(path) {
                return Ok(*node);
            }
            if !state.seen.contains_key(path.parent().unwrap_or(path)) {
                return not_found();
            }
            state.nodes.push(Node::default());
            let node = state.nodes.len() - 1;
            state.seen.insert(path.to_owned(), Some(node));
            Ok(node)
        })
    }

    async fn open_to_write(&self, path: &Path) -> io::Result<usize> {
        self.open(path).await
    }

    async fn open_with_room(&self, path: &Path, offset: u64, length: u64) -> io::Result<usize> {
        let file = self.open(path).await?;
        self.act(|state| {
            let seen = &mut state.nodes[file].seen;
            let end = usize::try_from(offset + length).expect("small");
            seen.resize(seen.len().max(end), 0);
            Ok(file)
        })
    }

    async fn open(&self, path: &Path) -> io::Result<usize> {
        self.act(|state| match state.seen.get(path) {
            Some(Some(node)) => Ok(*node),
            _ => not_found(),
        })
    }

    async fn write(&self, file: &usize, offset: u64, bytes: Bytes) -> io::Result<()> {
        self.act(|state| {
            let seen = &mut state.nodes[*file].seen;
            let at = usize::try_from(offset).expect("small");
            seen.resize(seen.len().max(at + bytes.len()), 0);
            seen[at..at + bytes.len()].copy_from_slice(&bytes);
            Ok(())
        })
    }

    async fn read(&self, file: &usize, offset: u64, length: usize) -> io::Result<Bytes> {
        self.act(|state| {
            let seen = &state.nodes[*file].seen;
            let at = usize::try_from(offset).expect("small").min(seen.len());
            let end = at.saturating_add(length).min(seen.len());
            Ok(Bytes::copy_from_slice(&seen[at..end]))
        })
    }

    async fn about(&self, file: &usize) -> io::Result<(u64, u128)> {
        // Written to just now, as far as anybody knows.
        let changed = u128::try_from(now().millis()).expect("after 1970") * 1_000_000;
        self.act(|state| Ok((state.nodes[*file].seen.len() as u64, changed)))
    }

    async fn set_len(&self, file: &usize, length: u64) -> io::Result<()> {
        self.act(|state| {
            let length = usize::try_from(length).expect("small");
            state.nodes[*file].seen.resize(length, 0);
            Ok(())
        })
    }

    async fn sync(&self, file: &usize) -> io::Result<()> {
        self.act(|state| {
            let node = &mut state.nodes[*file];
            node.synced.clone_from(&node.seen);
            Ok(())
        })
    }

    async fn cut_and_sync(&self, file: &usize, from: u64, to: u64) -> io::Result<()> {
        if self.about(file).await?.0 == from {
            self.set_len(file, to).await?;
        }
        self.sync(file).await
    }

    async fn sync_folder(&self, path: &Path) -> io::Result<()> {
        self.act(|state| {
            let in_it = |name: &PathBuf| name.parent() == Some(path);
            state.synced.retain(|name, _| !in_it(name));
            let seen = state.seen.iter().filter(|(name, _)| in_it(name));
            let seen: Vec<_> = seen.map(|(name, node)| (name.clone(), *node)).collect();
            state.synced.extend(seen);
            Ok(())
        })
    }

    async fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.act(|state| match state.seen.remove(from) {
            Some(node) => {
                state.seen.insert(to.to_owned(), node);
                Ok(())
            }
            None => not_found(),
        })
    }

    async fn remove(&self, path: &Path) -> io::Result<()> {
        self.act(|state| match state.seen.get(path) {
            Some(None) => Err(io::ErrorKind::IsADirectory.into()),
            _ => state.seen.remove(path).map_or_else(not_found, |_| Ok(())),
        })
    }

    async fn remove_folder(&self, path: &Path) -> io::Result<()> {
        self.act(|state| {
            if !state.seen.contains_key(path) {
                return not_found();
            }
            state.seen.retain(|name, _| !name.starts_with(path));
            Ok(())
        })
    }

    async fn names(&self, path: &Path) -> io::Result<Vec<String>> {
        self.act(|state| {
            let names = state.seen.keys().filter(|name| name.parent() == Some(path));
            let name = |path: &PathBuf| Some(path.file_name()?.to_string_lossy().into_owned());
            Ok(names.filter_map(name).collect())
        })
    }
}

const PART: u64 = 1_000;
const KEY: &str = "app/file";
const WHOLE_KEY: &str = "app/other";

fn bytes(part: u8, length: usize) -> Vec<u8> {
    (0..length)
        .map(|n| part.wrapping_mul(31) ^ u8::try_from(n % 251).expect("small"))
        .collect()
}

/// What came of parts, as its sender would know it.
#[derive(Debug, Default)]
struct Sent {
    id: Option<String>,
    parts: BTreeMap<u16, (String, Vec<u8>)>,
    complete: bool,
    whole: bool,
}

/// A file in three parts, the second of which comes twice, cut and as other bytes; and a file in one piece.
async fn send(files: &Files<Faulty>, sent: &mut Sent) -> Result<(), BucketError> {
    let id = files.create(KEY, PART).await?;
    sent.id = Some(id.clone());
    let small = files.put(WHOLE_KEY, Body::of(bytes(9, 1_500)), None).await;
    sent.whole = small.is_ok();
    for (n, seed, length) in [(2, 2, 1_000), (1, 1, 1_000), (2, 4, 1_000), (3, 3, 500)] {
        let content = bytes(seed, length);
        let cut = stream::iter([
            Ok(Bytes::copy_from_slice(&content[..300])),
            Err(io::ErrorKind::UnexpectedEof.into()),
        ]);
        let broken = files.put_part(KEY, &id, n, Body(cut.boxed_local())).await;
        assert!(broken.is_err());
        let put = files
            .put_part(KEY, &id, n, Body::of(content.clone()))
            .await?;
        sent.parts.insert(n, (put.etag, content));
    }
    let etags: Vec<_> = sent.parts.values().map(|(etag, _)| etag.clone()).collect();
    match files.complete(KEY, &id, &etags).await {
        Ok(()) => sent.complete = true,
        Err(CompleteError::Bucket(error)) => return Err(error),
        Err(CompleteError::Parts) => panic!("the parts are there"),
    }
    Ok(())
}

async fn read_all(files: &Files<Faulty>, key: &str) -> Option<Vec<u8>> {
    let body = Bucket::open(files, key, Selection::Whole)
        .await
        .expect("a disk")?;
    let pieces: Vec<Bytes> = body.0.map(|piece| piece.expect("bytes")).collect().await;
    Some(pieces.concat())
}

/// What was acknowledged is there on the disk as it was found.
async fn is_kept(disk: Faulty, sent: &Sent) {
    let files = Files::open(disk.clone(), Path::new("/data"))
        .await
        .expect("a store");
    let object = read_all(&files, KEY).await;
    let all: Vec<u8> = sent
        .parts
        .values()
        .flat_map(|(_, bytes)| bytes.clone())
        .collect();
    assert!(!sent.complete || object.is_some(), "the object is gone");
    let stored = object.is_some();
    if let Some(object) = object {
        assert!(object == all, "half an object");
    } else if let Some(id) = &sent.id {
        // What is held of it can be completed, whatever parts it is.
        let mut etags = Vec::new();
        let mut held = Vec::new();
        for (n, (etag, bytes)) in &sent.parts {
            if usize::from(*n) == etags.len() + 1 {
                etags.push(etag.clone());
                held.extend_from_slice(bytes);
            }
        }
        if !etags.is_empty() {
            files.complete(KEY, id, &etags).await.expect("its parts");
            assert!(read_all(&files, KEY).await.expect("an object") == held);
        }
        files.abort(KEY, id).await.expect("removed");
    }
    let whole = read_all(&files, WHOLE_KEY).await;
    assert!(!sent.whole || whole.is_some(), "the file is gone");
    assert!(
        whole.is_none_or(|whole| whole == bytes(9, 1_500)),
        "half a file"
    );
    // Nothing but objects is left once it is opened again; of an upload that was joined as the power failed,
    // the old name can be left on this disk, and goes with time.
    drop(
        Files::open(disk.clone(), Path::new("/data"))
            .await
            .expect("a store"),
    );
    let seen = &disk.0.borrow().seen;
    let left = seen.keys().filter(|name| name.starts_with("/data/parts"));
    let left: Vec<_> = left
        .filter(|name| *name != Path::new("/data/parts"))
        .collect();
    assert!(sent.id.is_none() || stored || left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn no_acknowledged_byte_is_missing_wherever_the_power_is_cut() {
    let mut moments = 0;
    loop {
        let disk = Faulty::default();
        disk.power_for(usize::MAX);
        let data = Path::new("/data");
        disk.make_folder(data).await.expect("a folder");
        disk.sync_folder(Path::new("/")).await.expect("a folder");
        let files = Files::open(disk.clone(), data).await.expect("a store");
        disk.power_for(moments);
        let mut sent = Sent::default();
        let over = send(&files, &mut sent).await.is_ok();
        for dropped in [true, false] {
            is_kept(disk.after_cut(dropped), &sent).await;
        }
        if over && sent.complete {
            break;
        }
        moments += 1;
    }
    println!("{moments} moments");
    assert!(moments > 40, "{moments}");
}

/// How many files and folders of uploads there are.
fn uploads_left(disk: &Faulty) -> usize {
    let state = disk.0.borrow();
    let names = state.seen.keys();
    let left = names.filter(|name| name.starts_with("/data/parts") && !name.ends_with("parts"));
    left.count()
}

#[tokio::test]
async fn what_was_there_before_a_restart_is_known_again_and_no_cut_try_destroys_it() {
    let (disk, data) = (Faulty::default(), Path::new("/data"));
    disk.power_for(usize::MAX);
    disk.make_folder(data).await.expect("a folder");
    let opened = async || Files::open(disk.clone(), data).await.expect("a store");
    let files = opened().await;
    let id = files.create(KEY, PART).await.expect("an upload");
    let put = async |files: &Files<Faulty>, n, content| {
        files.put_part(KEY, &id, n, Body::of(content)).await
    };
    let first = put(&files, 1, bytes(1, 1_000)).await.expect("a part");
    // A second program has the same folder as it was left.
    let files = opened().await;
    let cut = stream::iter([
        Ok(Bytes::from(bytes(7, 300))),
        Err(io::ErrorKind::UnexpectedEof.into()),
    ]);
    let broken = files.put_part(KEY, &id, 1, Body(cut.boxed_local())).await;
    assert!(broken.is_err());
    let other = put(&files, 1, bytes(8, 1_000)).await.expect("a part");
    let last = put(&files, 2, bytes(2, 500)).await.expect("a part");
    let wrong = files
        .complete(KEY, &id, std::slice::from_ref(&last.etag))
        .await;
    assert_eq!(wrong, Err(CompleteError::Parts));
    let files = opened().await;
    for (etag, seed) in [(first.etag, 1), (other.etag, 8)] {
        // What was kept aside for a place can still take it.
        let copy = Faulty(Rc::new(RefCell::new(disk.0.borrow().clone())));
        let files = Files::open(copy.clone(), data).await.expect("a store");
        let done = files.complete(KEY, &id, &[etag, last.etag.clone()]).await;
        assert_eq!(done, Ok(()));
        let whole = read_all(&files, KEY).await.expect("an object");
        assert!(whole == [bytes(seed, 1_000), bytes(2, 500)].concat());
        assert_eq!(uploads_left(&copy), 0);
    }
    files.abort(KEY, &id).await.expect("removed");
    assert_eq!(uploads_left(&disk), 0);
}
