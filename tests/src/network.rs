//! A network of a chosen speed and delay between a browser and a server, that can be cut and
//! come back.
//!
//! It stands where a phone's radio link would: bytes of all connections share one rate in each
//! direction (a token bucket), and each arrives half a round trip after it was sent. A new
//! connection costs one round trip. Buffers are small, as those of a phone and of a server are beside
//! such a network: what the browser has handed over is soon on its way, and a connection holds no more
//! than a rate and a delay put on a line, also when the edge reads slowly. Jitter is not played, and TCP's
//! window only where segments are lost ([`Network::lose`]): without loss it would strike what is compared alike.
//!
//! It reads along what is sent up: the bodies of requests that carry a file's content are counted,
//! where they enter the network ([`Network::sent`]) and where they leave it
//! ([`Network::arrived`]). What never entered, since a cut came first, cost the person nothing; what
//! entered and never leaves was on its way at a cut, and nobody can have it.

use std::collections::VecDeque;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use socket2::SockRef;
use xtask::run::now;

use crate::meter::Meter;
use crate::scratch::wait_for;
use crate::window::{SEGMENT, Window};

/// What a network is like.
#[derive(Clone, Copy, Debug)]
pub struct Profile {
    /// Bits in a second, each way.
    pub bits_per_second: u64,
    /// Time there and back.
    pub round_trip: Duration,
}

impl Profile {
    /// Time that so many bytes take at the least.
    #[must_use]
    pub fn ideal(&self, bytes: u64) -> Duration {
        Duration::from_secs_f64(bytes as f64 * 8.0 / self.bits_per_second as f64)
    }

    /// Bytes of a second.
    #[must_use]
    pub fn second(&self) -> u64 {
        self.bits_per_second / 8
    }

    /// Bytes that are on their way in one direction when the line is full.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        (self.second() as f64 * self.round_trip.as_secs_f64() / 2.0) as u64
    }
}

/// How a network goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Connections break, and new ones are refused: the radio is off, and the system says so.
    Broken,
    /// Nothing moves and nobody says so: a tunnel. What was connected stays dead for ever, as after
    /// a change of network; who connects meanwhile gets through at TCP's next try after the return.
    Silent,
}

/// Bytes that move at once.
const PIECE: usize = 16 * 1024;

/// How much a rate may catch up after a late wake.
const BURST: Duration = Duration::from_millis(10);

/// Buffer of a socket, in bytes: what is received of a browser, and what is sent to the server. Linux
/// doubles it.
const BUFFER: usize = 64 * 1024;

/// What a connection holds in one direction beyond what is on its way, in bytes: a late wake does not empty it.
const QUEUE: u64 = 64 * 1024;

/// When TCP tries again to connect (RFC 6298), after the first try.
const TRIES: [Duration; 5] = [
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_secs(7),
    Duration::from_secs(15),
    Duration::from_secs(31),
];

/// A network. It ends when it is dropped.
#[derive(Debug)]
pub struct Network {
    port: u16,
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    server: SocketAddr,
    profile: Mutex<Profile>,
    /// When the next byte may go, up and down.
    free_at: [Mutex<Instant>; 2],
    /// The cut that holds now.
    cut: Mutex<Option<Cut>>,
    /// Told of every change of `cut`.
    changed: Condvar,
    ended: AtomicBool,
    /// Connections that live, both ends of each.
    live: Mutex<Vec<Arc<Pair>>>,
    /// Connections that a silent cut came over: kept open, since nobody may hear of their end.
    lost: Mutex<Vec<Arc<Pair>>>,
    sent: AtomicU64,
    arrived: AtomicU64,
    /// As many bytes of files go through, and the rest waits.
    most: Mutex<u64>,
    /// Told when `most` is raised.
    raised: Condvar,
    /// Of a thousand segments so many are lost, in each direction.
    lost_of_1000: AtomicU64,
    /// Connections so far, each of which loses segments of its own.
    connections: AtomicU64,
    /// Requests that were sent.
    requests: AtomicU64,
}

#[derive(Debug)]
struct Pair {
    browser: TcpStream,
    server: TcpStream,
    /// A silent cut came over it.
    dead: AtomicBool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Network {
    /// A network before the server at `origin`.
    ///
    /// # Panics
    /// When there is no port, or `origin` is no address.
    #[must_use]
    pub fn before(origin: &str, profile: Profile) -> Self {
        let server = origin.trim_start_matches("http://");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        // Before any connection, which inherits it and tells its window by it.
        let socket = SockRef::from(&listener);
        socket
            .set_recv_buffer_size(BUFFER)
            .expect("a buffer's size");
        socket.set_tcp_mss(SEGMENT).expect("a segment's size");
        let port = listener.local_addr().expect("an address").port();
        let inner = Arc::new(Inner {
            server: server.parse().expect("an address and a port"),
            profile: Mutex::new(profile),
            free_at: [Mutex::new(now()), Mutex::new(now())],
            cut: Mutex::new(None),
            changed: Condvar::new(),
            ended: AtomicBool::new(false),
            live: Mutex::default(),
            lost: Mutex::default(),
            sent: AtomicU64::new(0),
            arrived: AtomicU64::new(0),
            most: Mutex::new(u64::MAX),
            raised: Condvar::new(),
            lost_of_1000: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            requests: AtomicU64::new(0),
        });
        let own = inner.clone();
        std::thread::spawn(move || {
            for browser in listener.incoming().flatten() {
                if own.ended.load(Ordering::Relaxed) {
                    break;
                }
                let own = own.clone();
                std::thread::spawn(move || own.connect(browser));
            }
        });
        Self { port, inner }
    }

    /// Its address, without a slash at the end.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// A link's address by way of this network.
    #[must_use]
    pub fn url(&self, url: &str) -> String {
        let path = url.splitn(4, '/').nth(3).unwrap_or_default();
        format!("{}/{path}", self.origin())
    }

    /// Becomes another network.
    pub fn set(&self, profile: Profile) {
        *lock(&self.inner.profile) = profile;
    }

    /// From now on loses so many of a thousand segments, drawn anew for each connection but alike for two networks. Its
    /// connections have TCP's window then, and each loss costs one of them a round trip.
    pub fn lose(&self, of_1000: u64) {
        self.inner.lost_of_1000.store(of_1000, Ordering::Relaxed);
    }

    /// Cuts it.
    pub fn cut(&self, cut: Cut) {
        *lock(&self.inner.cut) = Some(cut);
        for pair in lock(&self.inner.live).drain(..) {
            pair.dead.store(true, Ordering::Relaxed);
            match cut {
                Cut::Broken => pair.close(),
                Cut::Silent => lock(&self.inner.lost).push(pair),
            }
        }
        self.inner.changed.notify_all();
    }

    /// Connections that are open.
    #[must_use]
    pub fn live(&self) -> usize {
        lock(&self.inner.live).len()
    }

    /// Brings it back.
    pub fn restore(&self) {
        *lock(&self.inner.cut) = None;
        self.inner.changed.notify_all();
    }

    /// From now on, what is sent of files waits when so many bytes of them have gone through, counted
    /// from the start (a piece of each connection goes beyond); all else goes on. So a scenario can
    /// be in the middle of an upload for as long as it needs.
    pub fn hold_after(&self, bytes: u64) {
        *lock(&self.inner.most) = bytes;
    }

    /// Waits until so many bytes of files have come to the server.
    ///
    /// # Panics
    /// When they do not within `within`.
    pub fn wait_arrived(&self, bytes: u64, within: Duration) {
        wait_for("bytes at the edge", within, || {
            (self.arrived() >= bytes).then_some(())
        });
    }

    /// Lets go what waits, and holds nothing more.
    pub fn release(&self) {
        self.hold_after(u64::MAX);
        self.inner.raised.notify_all();
    }

    /// Bytes of files that were sent so far, also those that a cut has swallowed.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.inner.sent.load(Ordering::Relaxed)
    }

    /// Bytes of files that were sent and did not come to the server: a cut has swallowed them, or they are on
    /// their way.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        let arrived = self.arrived();
        self.sent().saturating_sub(arrived)
    }

    /// Requests that were sent so far.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.inner.requests.load(Ordering::Relaxed)
    }

    /// Bytes of files that came to the server so far.
    #[must_use]
    pub fn arrived(&self) -> u64 {
        self.inner.arrived.load(Ordering::Relaxed)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.inner.ended.store(true, Ordering::Relaxed);
        self.cut(Cut::Broken);
        self.release();
        for pair in lock(&self.inner.lost).drain(..) {
            pair.close();
        }
        // The listener looks up for this.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
    }
}

impl Pair {
    fn close(&self) {
        let _ = self.browser.shutdown(Shutdown::Both);
        let _ = self.server.shutdown(Shutdown::Both);
    }
}

impl Inner {
    fn connect(self: Arc<Self>, browser: TcpStream) {
        if !self.get_through() {
            return;
        }
        let round_trip = lock(&self.profile).round_trip;
        std::thread::sleep(round_trip);
        let Ok(server) = TcpStream::connect(self.server) else {
            return;
        };
        let _ = (browser.set_nodelay(true), server.set_nodelay(true));
        let _ = SockRef::from(&server).set_send_buffer_size(BUFFER);
        let pair = Arc::new(Pair {
            browser,
            server,
            dead: AtomicBool::new(false),
        });
        {
            // Under the cut's lock: a cut sees this connection, or this one sees the cut.
            let cut = lock(&self.cut);
            if cut.is_some() {
                pair.close();
                return;
            }
            lock(&self.live).push(pair.clone());
        }
        let (own, other) = (self.clone(), pair.clone());
        let up = std::thread::spawn(move || own.carry(&other, true));
        self.carry(&pair, false);
        let _ = up.join();
        if !pair.dead.load(Ordering::Relaxed) {
            pair.close();
        }
        lock(&self.live).retain(|one| !Arc::ptr_eq(one, &pair));
    }

    /// Waits until the network lets a new connection through, if ever.
    fn get_through(&self) -> bool {
        let start = now();
        let mut cut = lock(&self.cut);
        if cut.is_none() {
            return true;
        }
        while let Some(how) = *cut {
            if how == Cut::Broken {
                return false;
            }
            cut = self
                .changed
                .wait(cut)
                .unwrap_or_else(PoisonError::into_inner);
        }
        drop(cut);
        let waited = start.elapsed();
        let next = TRIES.iter().find(|&&at| at >= waited);
        std::thread::sleep(next.map_or(Duration::ZERO, |&at| at - waited));
        true
    }

    /// Carries one direction of a connection until it ends.
    fn carry(self: &Arc<Self>, pair: &Arc<Pair>, up: bool) {
        let (mut from, to) = if up {
            (&pair.browser, &pair.server)
        } else {
            (&pair.server, &pair.browser)
        };
        let line = Arc::new(Line::default());
        let (own, out) = (self.clone(), line.clone());
        let (other, target) = (pair.clone(), to.try_clone());
        let writer = std::thread::spawn(move || {
            if let Ok(target) = target {
                own.deliver(&out, &other, target, up);
            }
        });
        let mut meter = Meter::default();
        let mut window = Window::new(self.connections.fetch_add(1, Ordering::Relaxed));
        let mut piece = vec![0; PIECE];
        while let Ok(n) = from.read(&mut piece) {
            if n == 0 {
                break;
            }
            let content = if up { meter.count(&piece[..n]) } else { 0 };
            let requests = meter.take_requests();
            self.requests.fetch_add(requests, Ordering::Relaxed);
            if content > 0 {
                self.wait_for_room();
            }
            let profile = *lock(&self.profile);
            let lost_of_1000 = self.lost_of_1000.load(Ordering::Relaxed);
            let mut most = profile.in_flight() + QUEUE;
            if lost_of_1000 > 0 {
                // What is held is on its way there, and not back.
                most = most.min(window.size() / 2);
            }
            if !line.wait_for_space(most) {
                break;
            }
            let mut at = self.slot(n, up);
            if lost_of_1000 > 0 && window.send(n as u64, lost_of_1000) {
                // What comes after it waits behind it.
                at = self.slot(SEGMENT as usize, up) + profile.round_trip;
            }
            if pair.dead.load(Ordering::Relaxed) {
                break;
            }
            self.sent.fetch_add(content, Ordering::Relaxed);
            let arrives = at + profile.round_trip / 2;
            line.push((arrives, piece[..n].to_vec(), content));
        }
        line.end();
        let _ = writer.join();
    }

    /// Waits while as many bytes of files have gone through as may.
    fn wait_for_room(&self) {
        let mut most = lock(&self.most);
        while self.sent.load(Ordering::Relaxed) >= *most {
            most = self
                .raised
                .wait(most)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits for a connection's turn to move `n` bytes; returns when they have left.
    fn slot(&self, n: usize, up: bool) -> Instant {
        let takes = lock(&self.profile).ideal(n as u64);
        let end = {
            let mut free_at = lock(&self.free_at[usize::from(up)]);
            let start = (*free_at).max(now().checked_sub(BURST).unwrap_or_else(now));
            *free_at = start + takes;
            *free_at
        };
        std::thread::sleep(end.saturating_duration_since(now()));
        end
    }

    fn deliver(&self, line: &Line, pair: &Pair, mut to: TcpStream, up: bool) {
        while let Some((at, bytes, content)) = line.pop() {
            std::thread::sleep(at.saturating_duration_since(now()));
            if pair.dead.load(Ordering::Relaxed) || to.write_all(&bytes).is_err() {
                line.end();
                return;
            }
            if up {
                self.arrived.fetch_add(content, Ordering::Relaxed);
            }
        }
        if !pair.dead.load(Ordering::Relaxed) {
            let _ = to.shutdown(Shutdown::Write);
        }
    }
}

/// Bytes on their way with the time when they arrive, and how many of them are a file's.
type Piece = (Instant, Vec<u8>, u64);

/// What is on its way in one direction.
#[derive(Debug, Default)]
struct Line {
    held: Mutex<Held>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Held {
    pieces: VecDeque<Piece>,
    bytes: u64,
    ended: bool,
}

impl Line {
    /// Waits until it holds less than `most` bytes; answers whether it takes more.
    fn wait_for_space(&self, most: u64) -> bool {
        let held = self
            .changed
            .wait_while(lock(&self.held), |held| held.bytes >= most && !held.ended);
        !held.unwrap_or_else(PoisonError::into_inner).ended
    }

    fn push(&self, piece: Piece) {
        let mut held = lock(&self.held);
        held.bytes += piece.1.len() as u64;
        held.pieces.push_back(piece);
        self.changed.notify_all();
    }

    /// Nothing more comes, or nobody takes it.
    fn end(&self) {
        lock(&self.held).ended = true;
        self.changed.notify_all();
    }

    /// The next piece, or `None` at the end.
    fn pop(&self) -> Option<Piece> {
        let held = self.changed.wait_while(lock(&self.held), |held| {
            held.pieces.is_empty() && !held.ended
        });
        let mut held = held.unwrap_or_else(PoisonError::into_inner);
        let piece = held.pieces.pop_front()?;
        held.bytes -= piece.1.len() as u64;
        self.changed.notify_all();
        Some(piece)
    }
}
