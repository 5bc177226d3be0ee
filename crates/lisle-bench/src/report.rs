//! What came out: the tables, the file for programs and the page for people.

use std::fmt::Write;

use console::style;
use serde_json::{Value, json};

use crate::harness::{Case, Figure, Goal, Role, Unit};
use crate::load::Share;

/// A figure of a case after its run.
pub(crate) struct Outcome {
    pub(crate) group: &'static str,
    pub(crate) case: String,
    unit: Unit,
    goal: Goal,
    rows: Vec<Row>,
    /// What ran beside the case.
    load: Share,
}

struct Row {
    name: &'static str,
    role: Role,
    median: f64,
    min: f64,
    max: f64,
}

/// How lisle stands in a case that has a goal.
pub(crate) struct Verdict {
    pub(crate) met: bool,
    /// `0.55 × parking_lot` or the value itself.
    pub(crate) reached: String,
    pub(crate) wanted: String,
}

/// Makes one outcome per figure of `samples[contender][figure][round]`.
pub(crate) fn outcomes(case: &Case, samples: &[Vec<Vec<f64>>], load: Share) -> Vec<Outcome> {
    let outcome = |(index, figure): (usize, &Figure)| {
        let rows = case.contenders.iter().zip(samples).filter_map(|(contender, samples)| {
            let mut sorted = samples[index].clone();
            // A gap: this contender could not be measured.
            sorted.retain(|sample| !sample.is_nan());
            sorted.sort_unstable_by(f64::total_cmp);
            let (&min, &max) = (sorted.first()?, sorted.last()?);
            let middle = sorted.len() / 2;
            let median = match sorted.len() % 2 {
                0 => (sorted[middle - 1] + sorted[middle]) / 2.0,
                _ => sorted[middle],
            };
            Some(Row { name: contender.name, role: contender.role, median, min, max })
        });
        Outcome {
            group: case.group,
            case: figure.name.clone(),
            unit: figure.unit,
            goal: figure.goal,
            rows: rows.collect(),
            load,
        }
    };
    case.figures.iter().enumerate().map(outcome).collect()
}

impl Outcome {
    /// Lisle's row that counts: the first, where it has several ways.
    fn ours(&self) -> Option<&Row> {
        self.rows.iter().find(|row| row.role == Role::Lisle)
    }

    /// Whom lisle is compared with: the one that the goal names, else the best peer.
    fn rival(&self) -> Option<&Row> {
        if let Goal::Of(name, _) = self.goal {
            return self.rows.iter().find(|row| row.name == name);
        }
        let peers = self.rows.iter().filter(|row| row.role == Role::Peer);
        peers.min_by(|a, b| a.median.total_cmp(&b.median))
    }

    fn ratio(&self, row: &Row) -> Option<f64> {
        Some(row.median / self.rival()?.median)
    }

    fn against_rival(&self, row: &Row) -> Option<String> {
        let ratio = self.ratio(row)?;
        // Small ratios are told to more places, as they are what is remarkable.
        let places = if ratio < 0.1 { 3 } else { 2 };
        Some(format!("{ratio:.places$} × {}", self.rival()?.name))
    }

    pub(crate) fn verdict(&self) -> Option<Verdict> {
        let ours = self.ours()?;
        let text = |number| value(self.unit, number);
        let (met, reached, wanted) = match self.goal {
            Goal::None => return None,
            Goal::Best(most) => {
                (self.ratio(ours)? <= most, self.against_rival(ours)?, format!("≤ {most} × the best peer"))
            }
            Goal::Of(name, most) => {
                (self.ratio(ours)? <= most, self.against_rival(ours)?, format!("≤ {most} × {name}"))
            }
            Goal::AtMost(most) => (ours.median <= most, text(ours.median), format!("≤ {}", text(most))),
            Goal::AtLeast(least) => (ours.median >= least, text(ours.median), format!("≥ {}", text(least))),
        };
        Some(Verdict { met, reached, wanted })
    }

    /// The table of this figure.
    pub(crate) fn table(&self) -> String {
        let mut text = format!("{}\n", style(format!("{} · {}", self.group, self.case)).bold());
        for row in &self.rows {
            let note = match row.role {
                Role::Lisle if self.unit == Unit::Nanos => self.against_rival(row).unwrap_or_default(),
                Role::Floor => "floor".to_owned(),
                Role::Lisle | Role::Peer => String::new(),
            };
            let [median, min, max] = [row.median, row.min, row.max].map(|number| value(self.unit, number));
            let line = format!("  {:28} {median:>10}   {:<24} {note}", row.name, format!("{min} .. {max}"));
            let _ = writeln!(text, "{}", line.trim_end());
        }
        if let Some(verdict) = self.verdict() {
            let _ = writeln!(text, "  goal {}: {}", verdict.wanted, verdict.word());
        }
        if self.load.disturbance().is_some() {
            let _ = writeln!(text, "  {}", style(self.load).dim());
        }
        text
    }
}

impl Verdict {
    pub(crate) fn word(&self) -> console::StyledObject<&'static str> {
        if self.met { style("met").green() } else { style("missed").red() }
    }
}

/// The goals of all cases, the missed ones last.
pub(crate) fn summary(outcomes: &[Outcome]) -> String {
    let mut judged: Vec<_> = outcomes.iter().filter_map(|outcome| Some((outcome, outcome.verdict()?))).collect();
    judged.sort_by_key(|(_, verdict)| !verdict.met);
    let met = judged.iter().filter(|(_, verdict)| verdict.met).count();
    let mut text = format!("{}\n", style("goals").bold());
    for (outcome, verdict) in &judged {
        let Verdict { reached, wanted, .. } = verdict;
        let name = format!("{} · {}", outcome.group, outcome.case);
        let others = outcome.load.disturbance().map_or_else(String::new, |part| format!("   (others {part:.0} %)"));
        let _ = writeln!(text, "  {:6} {name:66} {reached:20} {wanted}{}", verdict.word(), style(others).dim());
    }
    let _ = writeln!(text, "{met} of {} goals met", judged.len());
    text
}

/// The list that other programs read.
pub(crate) fn list(outcomes: &[Outcome]) -> Value {
    let entry = |outcome: &Outcome, row: &Row| {
        json!({
            "group": outcome.group,
            "case": outcome.case,
            "contender": row.name,
            "median_ns": row.median,
            "min_ns": row.min,
            "max_ns": row.max,
        })
    };
    let timed = outcomes.iter().filter(|outcome| outcome.unit == Unit::Nanos);
    timed.flat_map(|outcome| outcome.rows.iter().map(move |row| entry(outcome, row))).collect()
}

/// The page with a bar for each contender.
pub(crate) fn page(outcomes: &[Outcome], conditions: &str) -> String {
    let mut body = String::new();
    let mut group = "";
    for outcome in outcomes {
        if outcome.group != group {
            group = outcome.group;
            let _ = writeln!(body, "<h2>{}</h2>", escape(group));
        }
        let goal = outcome.verdict().map_or_else(String::new, |verdict| {
            let class = if verdict.met { "met" } else { "missed" };
            let text = format!("{}, goal {}: {class}", verdict.reached, verdict.wanted);
            format!("<span class={class}>{}</span>", escape(&text))
        });
        let name = escape(&outcome.case);
        let _ = writeln!(body, "<section><h3>{name} {goal}</h3>");
        let longest = outcome.rows.iter().map(|row| row.median).fold(0.0, f64::max);
        for row in &outcome.rows {
            let class = match row.role {
                Role::Lisle => "lisle",
                Role::Peer => "peer",
                Role::Floor => "floor",
            };
            let [median, min, max] = [row.median, row.min, row.max].map(|it| value(outcome.unit, it));
            let _ = writeln!(
                body,
                "<div class=row title=\"{min} .. {max}\"><span>{}</span>\
                 <i class={class} style=\"width:{:.2}%\"></i><b>{median}</b></div>",
                escape(row.name),
                // The longest bar leaves room for its number.
                60.0 * row.median / longest.max(f64::MIN_POSITIVE),
            );
        }
        body.push_str("</section>\n");
    }
    include_str!("page.html").replace("{conditions}", &escape(conditions)).replace("{body}", &body)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

/// A number with three digits or so, and its unit.
fn value(unit: Unit, number: f64) -> String {
    let scaled = |steps: &[(f64, &str)]| {
        let (size, name) = steps.iter().rfind(|(size, _)| number >= *size).unwrap_or(&steps[0]);
        let number = number / size;
        let places = if number < 10.0 { 2 } else { usize::from(number < 100.0) };
        format!("{number:.places$} {name}")
    };
    match unit {
        Unit::Nanos => scaled(&[(1.0, "ns"), (1e3, "µs"), (1e6, "ms"), (1e9, "s")]),
        Unit::Bytes => scaled(&[(1.0, "B"), (1024.0, "KiB"), (1024.0 * 1024.0, "MiB")]),
        Unit::Plain => format!("{number:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::Load;

    /// A case of three contenders with these samples, in which lisle has this goal.
    fn outcome(goal: Goal, samples: [&[f64]; 3]) -> Outcome {
        let case = Case::new("group", "name", goal)
            .measured(Role::Lisle, "lisle", |_| vec![])
            .measured(Role::Peer, "slow", |_| vec![])
            .measured(Role::Floor, "bare", |_| vec![]);
        let samples = samples.map(|samples| vec![samples.to_vec()]);
        let load = Load::now();
        outcomes(&case, &samples, load.since(load)).remove(0)
    }

    #[test]
    fn the_floor_is_no_peer() {
        let outcome = outcome(Goal::Best(0.5), [&[4.0, 6.0, 5.0], &[10.0], &[1.0]]);
        let verdict = outcome.verdict().expect("there is a goal");
        assert!(verdict.met);
        assert_eq!(verdict.reached, "0.50 × slow");
    }

    #[test]
    fn a_value_is_held_against_its_limit() {
        let met = |goal| outcome(goal, [&[2.0, 4.0], &[], &[]]).verdict().map(|verdict| verdict.met);
        assert_eq!(met(Goal::AtMost(3.0)), Some(true));
        assert_eq!(met(Goal::AtLeast(3.1)), Some(false));
        assert_eq!(met(Goal::None), None);
    }

    #[test]
    fn what_could_not_be_measured_is_left_out() {
        let outcome = outcome(Goal::Best(1.0), [&[1.0], &[f64::NAN], &[2.0]]);
        assert!(outcome.verdict().is_none());
        let list = list(&[outcome]);
        let names: Vec<_> = list.as_array().into_iter().flatten().map(|entry| &entry["contender"]).collect();
        assert_eq!(names, ["lisle", "bare"]);
        assert_eq!(list[0]["median_ns"], 1.0);
    }

    #[test]
    fn values_have_units() {
        assert_eq!(value(Unit::Nanos, 0.456), "0.46 ns");
        assert_eq!(value(Unit::Nanos, 48_210.0), "48.2 µs");
        assert_eq!(value(Unit::Bytes, 10_854.0), "10.6 KiB");
        assert_eq!(value(Unit::Plain, 0.5), "0.50");
    }
}
