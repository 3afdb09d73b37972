//! `fdb show` and `neigh show`: rows in the words of `bridge fdb` and `ip neigh`
//! (iproute2, bridge/fdb.c and ip/ipneigh.c).

use std::fmt::Write;

use crate::control::protocol::{FdbRow, NeighRow};

/// `dev DEV` and `network NAME`, in any order.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Filter {
    dev: Option<String>,
    network: Option<String>,
}

impl Filter {
    /// Reads the words after `show`.
    pub(super) fn parse(words: &[String]) -> anyhow::Result<Filter> {
        let mut filter = Filter::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let wanted = match word.as_str() {
                "dev" => &mut filter.dev,
                "network" => &mut filter.network,
                _ => anyhow::bail!("show: `{word}` is no filter: use `dev DEV` or `network NAME`"),
            };
            let Some(name) = words.next() else {
                anyhow::bail!("show: `{word}` needs a name after it");
            };
            if wanted.replace(name.clone()).is_some() {
                anyhow::bail!("show: `{word}` is given twice: give it once");
            }
        }
        Ok(filter)
    }

    pub(super) fn takes(&self, dev: &str, network: &str) -> bool {
        self.dev.as_deref().is_none_or(|wanted| wanted == dev)
            && self.network.as_deref().is_none_or(|wanted| wanted == network)
    }
}

/// `MAC dev DEV [dst IP vni N] [FLAG...] [master NETWORK] [STATE]`, a line each.
pub(super) fn fdb(rows: &Vec<FdbRow>) -> String {
    let mut text = String::new();
    for row in rows {
        let _ = write!(text, "{} dev {}", row.mac, row.ifname);
        if let Some(dst) = &row.dst {
            let _ = write!(text, " dst {dst} vni {}", row.vni);
        }
        for flag in &row.flags {
            let _ = write!(text, " {flag}");
        }
        if let Some(master) = &row.master {
            let _ = write!(text, " master {master}");
        }
        if !row.state.is_empty() {
            let _ = write!(text, " {}", row.state);
        }
        text.push('\n');
    }
    text
}

/// `IP dev DEV lladdr MAC STATE`, a line each.
pub(super) fn neighbours(rows: &Vec<NeighRow>) -> String {
    let mut text = String::new();
    for row in rows {
        let state = row.state.join(" ");
        let _ = writeln!(text, "{} dev {} lladdr {} {state}", row.dst, row.dev, row.lladdr);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &str) -> anyhow::Result<Filter> {
        Filter::parse(&words.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn a_filter_takes_rows_that_match_all_of_it() {
        let both = parse("network mynet dev vxlan0").unwrap();
        assert!(both.takes("vxlan0", "mynet"));
        assert!(!both.takes("app.1", "mynet"));
        assert!(!both.takes("vxlan0", "other"));
        assert!(parse("").unwrap().takes("anything", "anywhere"));
    }

    #[test]
    fn words_that_are_no_filter_are_refused() {
        for (words, says) in
            [("br0", "no filter"), ("dev", "needs a name"), ("dev a dev b", "given twice")]
        {
            assert!(parse(words).unwrap_err().to_string().contains(says), "{words}");
        }
    }
}
