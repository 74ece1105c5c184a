//! Where a request comes from.
//!
//! Promises: what a client writes about itself counts only if a trusted proxy passed it on.
//! Never: a name; addresses only.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use axum::http::HeaderMap;

const FORWARDED_FOR: &str = "x-forwarded-for";
/// Bits that an address has before its own when an IPv4 one is written as IPv6.
const MAPPED: u8 = 96;

/// The other end of the connection, in the request's extensions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Socket(pub(crate) IpAddr);

/// The client's address, in the request's extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Peer(pub(crate) IpAddr);

impl Peer {
    /// The connection's other end; if that is a trusted proxy, the last hop before the trusted ones that `X-Forwarded-For` names.
    pub(crate) fn of(socket: Option<Socket>, headers: &HeaderMap, trusted: &[Network]) -> Self {
        let mut peer = socket.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |s| s.0.to_canonical());
        let lists: Vec<&str> = headers.get_all(FORWARDED_FOR).iter().map(|v| v.to_str().unwrap_or("?")).collect();
        let mut hops = lists.iter().flat_map(|list| list.split(',')).rev();
        while trusted.iter().any(|network| network.has(peer))
            && let Some(hop) = hops.next().and_then(address)
        {
            peer = hop;
        }
        Self(peer)
    }
}

/// An address with or without a port, such as `203.0.113.9`, `203.0.113.9:80`, `2001:db8::1` or `[2001:db8::1]:80`.
fn address(hop: &str) -> Option<IpAddr> {
    let hop = hop.trim();
    let bare = match hop.strip_prefix('[') {
        Some(rest) => rest.split(']').next()?,
        None if hop.matches(':').count() == 1 => hop.split(':').next()?,
        None => hop,
    };
    bare.parse::<IpAddr>().ok().map(|ip| ip.to_canonical())
}

/// A range of addresses: `10.0.0.0/8`, `2001:db8::/32`, or a single address.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Network {
    base: u128,
    bits: u8,
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

impl Network {
    fn has(self, address: IpAddr) -> bool {
        let differing = number(address) ^ self.base;
        differing.leading_zeros() >= u32::from(self.bits)
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not an address or a network such as 10.0.0.0/8 or 2001:db8::/32");
        let (base, bits) = text.split_once('/').map_or((text, None), |(base, bits)| (base, Some(bits)));
        let base: IpAddr = base.parse().map_err(|_| wrong())?;
        let (whole, before) = if base.is_ipv4() { (32, MAPPED) } else { (128, 0) };
        let own = bits.map_or(Ok(whole), str::parse).ok().filter(|own| *own <= whole).ok_or_else(wrong)?;
        Ok(Self { base: number(base), bits: before + own })
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", std::net::Ipv6Addr::from_bits(self.base), self.bits)
    }
}

#[cfg(test)]
mod tests;
