//! iroh-probe: bench/probe.c's work done over an iroh connection: numbered datagrams and a stream of 4 Mbit/s both ways, each noted in a
//! log of the layout that probe.c describes. One relay, vouched for by the root certificate (DER) given; no look-up service: the id is given.
//!
//! usage: iroh-probe listen  DATAGRAM-LOG STREAM-LOG RELAY-URL ROOT                 prints "id ID"
//!        iroh-probe connect DATAGRAM-LOG STREAM-LOG RELAY-URL ROOT ID [silent]     silent: sends nothing
//! Both print "path direct" or "path relay" whenever that changes.
use std::error::Error;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use std::time::Duration;

use iroh::endpoint::{presets, Connection, RecvStream, SendStream};
use iroh::{Endpoint, EndpointAddr, RelayMode, RelayUrl, TransportAddr};
use iroh_relay::tls::CaTlsConfig;
use iroh_relay::{RelayConfig, RelayMap, RelayQuicConfig};

const ALPN: &[u8] = b"ntm-bench/1";
const CAPACITY: u64 = 1 << 16;
const MAGIC: u64 = 0x31676f6c6d746e;
const HEADER_BYTES: u64 = 64;
const SENT_AT: u64 = HEADER_BYTES;
const ARRIVED_AT: u64 = HEADER_BYTES + 8 * CAPACITY;
const LOG_BYTES: u64 = ARRIVED_AT + 16 * CAPACITY;
const PACE_NS: u64 = 2_000_000;
const BLOCK_BYTES: usize = 1000;
const DATAGRAM_BYTES: usize = 64;
/// The first byte of the stream tells the listening end whether there will be more.
const SPEAKING: u8 = 1;
const SILENT: u8 = 2;
const STATE: u64 = 2;
const STATE_OPEN: u64 = 1;
const STATE_ENDED: u64 = 2;
const STATE_BROKEN: u64 = 3;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

fn now_ns() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now) };
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// One end's file, written while it is read elsewhere: a record first, then the count that covers it.
struct Log {
    file: File,
    sent: AtomicU64,
    received: AtomicU64,
}

impl Log {
    fn open(path: &str) -> Result<Arc<Log>> {
        let file = File::options().read(true).write(true).create(true).truncate(true).open(path)?;
        file.set_len(LOG_BYTES)?;
        let log = Log { file, sent: AtomicU64::new(0), received: AtomicU64::new(0) };
        log.put(8, CAPACITY);
        log.put(0, MAGIC);
        Ok(Arc::new(log))
    }

    fn put(&self, at: u64, value: u64) {
        let _ = self.file.write_all_at(&value.to_ne_bytes(), at);
    }

    fn state(&self, state: u64) {
        self.put(8 * STATE, state);
    }

    fn note_sent(&self, at_ns: u64) {
        let number = self.sent.fetch_add(1, Ordering::Relaxed);
        if number < CAPACITY {
            self.put(SENT_AT + 8 * number, at_ns);
        }
        self.put(8 * 3, number + 1);
    }

    fn note_arrival(&self, number: u64, at_ns: u64) {
        let slot = self.received.load(Ordering::Relaxed);
        if slot < CAPACITY {
            self.put(ARRIVED_AT + 16 * slot, number);
            self.put(ARRIVED_AT + 16 * slot + 8, at_ns);
            self.received.store(slot + 1, Ordering::Relaxed);
            self.put(8 * 4, slot + 1);
        }
    }
}

/// A thread of its own, so that the pace does not depend on the runtime's timer.
fn send_datagrams(connection: Connection, log: Arc<Log>) {
    std::thread::spawn(move || {
        let mut due_ns = now_ns();
        while connection.close_reason().is_none() {
            let mut bytes = vec![0u8; DATAGRAM_BYTES];
            bytes[..8].copy_from_slice(&log.sent.load(Ordering::Relaxed).to_ne_bytes());
            let at_ns = now_ns();
            let done = connection.send_datagram(bytes.into());
            log.note_sent(if done.is_ok() { at_ns } else { 0 });
            due_ns += PACE_NS;
            std::thread::sleep(Duration::from_nanos(due_ns.saturating_sub(now_ns())));
        }
    });
}

async fn take_datagrams(connection: Connection, log: Arc<Log>) {
    while let Ok(bytes) = connection.read_datagram().await {
        if bytes.len() == DATAGRAM_BYTES {
            log.note_arrival(u64::from_ne_bytes(bytes[..8].try_into().unwrap()), now_ns());
        }
    }
}

async fn send_stream(mut stream: SendStream, log: Arc<Log>) {
    let mut pace = tokio::time::interval(Duration::from_nanos(PACE_NS));
    let mut block = vec![0u8; BLOCK_BYTES];
    loop {
        pace.tick().await;
        block[..8].copy_from_slice(&log.sent.load(Ordering::Relaxed).to_ne_bytes());
        if stream.write_all(&block).await.is_err() {
            return;
        }
        log.note_sent(now_ns());
    }
}

async fn take_stream(mut stream: RecvStream, log: Arc<Log>) {
    let mut block = vec![0u8; BLOCK_BYTES];
    loop {
        if stream.read_exact(&mut block).await.is_err() {
            log.state(STATE_ENDED);
            return;
        }
        let number = u64::from_ne_bytes(block[..8].try_into().unwrap());
        if number != log.received.load(Ordering::Relaxed) {
            log.state(STATE_BROKEN);
            return;
        }
        log.note_arrival(number, now_ns());
    }
}

/// Says whenever the path that data takes is of another kind.
async fn tell_path(connection: Connection) {
    let mut last = "";
    while connection.close_reason().is_none() {
        let kind = match connection.paths().iter().find(|path| path.is_selected()) {
            Some(path) if path.is_ip() => "direct",
            Some(_) => "relay",
            None => last,
        };
        if kind != last {
            println!("path {kind}");
            last = kind;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn endpoint(relay: &RelayUrl, root: &str) -> Result<Endpoint> {
    let map = RelayMap::from(RelayConfig::new(relay.clone(), Some(RelayQuicConfig::default())));
    let endpoint = Endpoint::builder(presets::Minimal)
        .alpns(vec![ALPN.to_vec()])
        .relay_mode(RelayMode::Custom(map))
        .ca_tls_config(CaTlsConfig::custom_roots([std::fs::read(root)?.into()]))
        .bind()
        .await?;
    tokio::time::timeout(Duration::from_secs(15), endpoint.online()).await?;
    Ok(endpoint)
}

/// With no streams there are datagrams alone, and they go out only where `sends`.
async fn measure(connection: Connection, streams: Option<(SendStream, RecvStream)>, logs: (Arc<Log>, Arc<Log>), sends: bool) {
    logs.0.state(STATE_OPEN);
    logs.1.state(STATE_OPEN);
    tokio::spawn(tell_path(connection.clone()));
    if sends {
        send_datagrams(connection.clone(), logs.0.clone());
    }
    if let Some((to, from)) = streams {
        tokio::spawn(send_stream(to, logs.1.clone()));
        tokio::spawn(take_stream(from, logs.1));
    }
    take_datagrams(connection, logs.0).await;
}

#[tokio::main]
async fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().collect();
    if words.len() < 6 || (words[1] == "connect" && words.len() < 7) {
        return Err("usage: iroh-probe listen|connect DATAGRAM-LOG STREAM-LOG RELAY-URL ROOT [ID [silent]]".into());
    }
    let logs = (Log::open(&words[2])?, Log::open(&words[3])?);
    let relay: RelayUrl = words[4].parse()?;
    let endpoint = endpoint(&relay, &words[5]).await?;
    if words[1] == "listen" {
        println!("id {}", endpoint.id());
        let connection = endpoint.accept().await.ok_or("closed")?.await?;
        let mut streams = connection.accept_bi().await?;
        let mut opening = [0u8; 1];
        streams.1.read_exact(&mut opening).await?;
        measure(connection, (opening[0] == SPEAKING).then_some(streams), logs, true).await;
        return Ok(());
    }
    let target = EndpointAddr::from_parts(words[6].parse()?, [TransportAddr::Relay(relay)]);
    let started_ns = now_ns();
    let connection = endpoint.connect(target, ALPN).await?;
    let mut streams = connection.open_bi().await?;
    let silent = words.len() > 7 && words[7] == "silent";
    streams.0.write_all(&[if silent { SILENT } else { SPEAKING }]).await?;
    println!("started {started_ns}");
    let streams = (!silent).then_some(streams);
    measure(connection, streams, logs, !silent).await;
    Ok(())
}
