//! A scenario as a table: one file, many rows, each played on a stage of its own.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::Deserialize;
use serde_yaml::{Mapping, Value};

use super::Scenario;
use super::fill::{Named, fill, plain, uses};

/// Rows played at the same time where the table does not say: an edge that starts mostly waits.
const AT_ONCE: usize = 4;
/// Rows told in full when several fail.
const TOLD: usize = 3;

/// One scenario to play, and the row that made it.
#[derive(Debug, Clone)]
pub struct Case {
    /// `status=404 on=[4xx]`; none where there is no table.
    pub row: Option<String>,
    /// What is played.
    pub scenario: Scenario,
    /// So many rows are played at the same time.
    at_once: usize,
}

/// `cases: { columns: [...], rows: [[...], ...], at_once: 1 }`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    columns: Vec<String>,
    rows: Vec<Vec<Value>>,
    #[serde(default = "at_once")]
    at_once: usize,
}

fn at_once() -> usize {
    AT_ONCE
}

/// Reads a scenario file.
///
/// # Errors
/// When it says something that no scenario can say.
pub(super) fn read(text: &str) -> Result<Vec<Case>, String> {
    let mut file: Mapping = serde_yaml::from_str(text).map_err(|error| error.to_string())?;
    let Some(table) = file.remove("cases") else {
        let scenario = serde_yaml::from_str(text).map_err(|error| error.to_string())?;
        return Ok(vec![Case { row: None, scenario, at_once: 1 }]);
    };
    let table: Table = serde_yaml::from_value(table).map_err(|error| format!("cases: {error}"))?;
    let file = Value::Mapping(file);
    if let Some(unused) = table.columns.iter().find(|column| !uses(&file, column)) {
        return Err(format!("cases: nothing in the file says ${{{unused}}}"));
    }
    if table.rows.is_empty() {
        return Err("cases: there is no row".to_owned());
    }
    table.rows.iter().map(|cells| case(&file, &table, cells)).collect()
}

fn case(file: &Value, table: &Table, cells: &[Value]) -> Result<Case, String> {
    let columns = &table.columns;
    if cells.len() != columns.len() {
        return Err(format!("cases: {} cells for {} columns: {cells:?}", cells.len(), columns.len()));
    }
    let names: Vec<Named> = columns.iter().cloned().zip(cells.iter().cloned()).collect();
    let row: Vec<String> = names.iter().map(|(column, cell)| format!("{column}={}", shown(cell))).collect();
    let row = row.join(" ");
    let scenario = serde_yaml::from_value(fill(file, &names)).map_err(|error| format!("row {row}: {error}"))?;
    Ok(Case { row: Some(row), scenario, at_once: table.at_once.max(1) })
}

fn shown(cell: &Value) -> String {
    if cell.is_null() { "null".to_owned() } else { plain(cell) }
}

/// Plays every row and names all that fail.
///
/// # Panics
/// When one does.
pub(super) fn play(name: &str, cases: &[Case]) {
    let at_once = cases.first().map_or(1, |case| case.at_once);
    let next = AtomicUsize::new(0);
    let wrong = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..at_once.min(cases.len()) {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let played = std::panic::catch_unwind(|| super::play(name, &case.scenario));
                    let why = match played {
                        Ok(Ok(())) => continue,
                        Ok(Err(why)) => why,
                        Err(panic) => panic.downcast::<String>().map_or_else(|_| "it panicked".into(), |text| *text),
                    };
                    wrong.lock().unwrap().push((case.row.clone().unwrap_or_default(), why));
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    if wrong.is_empty() {
        return;
    }
    let told: Vec<&str> = wrong.iter().take(TOLD).map(|(_, why)| why.as_str()).collect();
    let rows: Vec<String> = wrong.iter().map(|(row, _)| format!("  - {row}")).collect();
    let count = wrong.len();
    panic!(
        "{}\n{count} of {} rows of scenarios/{name}.yaml fail:\n{}\n",
        told.join("\n"),
        cases.len(),
        rows.join("\n")
    );
}
