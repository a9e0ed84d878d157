//! The table that goes into `docs/benchmarks.md`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use crate::peer::Work;

/// What Halidom is called in every row of its own.
const OURS: &str = "halidom";

/// Everything that was measured, in order of appearance.
#[derive(Debug, Default)]
pub(crate) struct Report {
    machine: String,
    rows: Vec<Row>,
    /// What has tables of its own.
    sections: Vec<String>,
}

#[derive(Debug)]
struct Row {
    title: String,
    peer: String,
    syncs: String,
    works: Vec<Work>,
}

impl Report {
    /// A report about this machine.
    pub(crate) fn new(dir: &Path) -> anyhow::Result<Self> {
        let processors = std::fs::read_to_string("/proc/cpuinfo")?;
        let models: Vec<&str> =
            processors.lines().filter_map(|line| line.strip_prefix("model name")?.split_once(": ").map(|(_, name)| name)).collect();
        let stat = rustix::fs::statfs(dir)?;
        let file_system = match stat.f_type {
            0xef53 => "ext4",
            0x5846_5342 => "XFS",
            0x9123_683e => "btrfs",
            0x0102_1994 => "tmpfs: syncs cost nothing here, the figures are worthless",
            _ => "another file system",
        };
        let machine = format!("{} × {}, {file_system}", models.len(), models.first().unwrap_or(&"unknown"));
        Ok(Self { machine, rows: Vec::new(), sections: Vec::new() })
    }

    /// Adds a measurement.
    pub(crate) fn note(&mut self, title: &str, peer: &str, syncs: &str, work: Work) {
        match self.rows.iter_mut().find(|row| row.title == title && row.peer == peer) {
            Some(row) => row.works.push(work),
            None => self.rows.push(Row { title: title.into(), peer: peer.into(), syncs: syncs.into(), works: vec![work] }),
        }
    }

    /// Adds text that comes after all tables.
    pub(crate) fn add(&mut self, section: String) {
        self.sections.push(section);
    }

    /// The result: ratios of each peer's figures to Halidom's in the same round, the median of the rounds, and their range.
    pub(crate) fn table(&self) -> String {
        let mut out = format!("{}\n", self.machine);
        let mut titles: BTreeMap<&str, usize> = BTreeMap::new();
        for row in &self.rows {
            let next = titles.len();
            titles.entry(&row.title).or_insert(next);
        }
        let mut ordered: Vec<_> = titles.into_iter().collect();
        ordered.sort_by_key(|(_, place)| *place);
        for (title, _) in ordered {
            let _ = writeln!(out, "\n### {title}\n");
            let _ = writeln!(
                out,
                "| peer | synced when it answers | throughput: Halidom ÷ peer | server's CPU a GB: Halidom ÷ peer | requests/s | CPU s/GB |"
            );
            let _ = writeln!(out, "| --- | --- | --- | --- | --- | --- |");
            for row in self.rows.iter().filter(|row| row.title == title) {
                let throughput = self.ratios(row, |work| Some(work.rate()));
                let cpu = self.ratios(row, Work::cpu_per_gigabyte);
                let rate = spread(row.works.iter().map(Work::rate).collect(), 0);
                let used = spread(row.works.iter().filter_map(Work::cpu_per_gigabyte).collect(), 2);
                let _ = writeln!(out, "| {} | {} | {throughput} | {cpu} | {rate} | {used} |", row.peer, row.syncs);
            }
        }
        for section in &self.sections {
            let _ = writeln!(out, "{section}");
        }
        out
    }

    /// Halidom's figure over this row's, round by round. Where Halidom has several passes, the one of the same name is meant, else each
    /// of Halidom's rows is compared with the only one of the peer.
    fn ratios(&self, row: &Row, figure: impl Fn(&Work) -> Option<f64>) -> String {
        let pass = row.peer.split_once(", ").map(|(_, pass)| pass).filter(|pass| pass.contains("read"));
        let name = pass.map_or_else(|| OURS.to_owned(), |pass| format!("{OURS}, {pass}"));
        let Some(ours) = self.rows.iter().find(|other| other.title == row.title && other.peer == name) else { return String::new() };
        spread(ours.works.iter().zip(&row.works).filter_map(|(ours, theirs)| Some(figure(ours)? / figure(theirs)?)).collect(), 2)
    }
}

/// Median, and from where to where.
pub(crate) fn spread(mut values: Vec<f64>, decimals: usize) -> String {
    values.sort_unstable_by(f64::total_cmp);
    match (values.first(), values.get(values.len() / 2), values.last()) {
        (Some(low), Some(middle), Some(high)) => format!("{middle:.decimals$} ({low:.decimals$}–{high:.decimals$})"),
        _ => "–".to_owned(),
    }
}
