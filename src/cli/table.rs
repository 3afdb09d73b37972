//! Aligned columns under a header line, as `docker ls` prints them.

use std::fmt::Write;

/// A column's header and the side that its cells keep to.
#[derive(Clone, Copy)]
pub(super) enum Column {
    Left(&'static str),
    Right(&'static str),
}

impl Column {
    fn header(self) -> &'static str {
        match self {
            Column::Left(header) | Column::Right(header) => header,
        }
    }
}

/// Spaces between two columns.
const GAP: &str = "   ";

/// A table that grows row by row.
pub(super) struct Table<const N: usize> {
    columns: [Column; N],
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    pub(super) fn new(columns: [Column; N]) -> Self {
        Table { columns, rows: Vec::new() }
    }

    /// Adds a row; an empty cell is shown as `-`.
    pub(super) fn row(&mut self, cells: [String; N]) {
        self.rows.push(cells.map(|cell| if cell.is_empty() { "-".into() } else { cell }));
    }

    /// The header and the rows, a line each, no spaces at their ends.
    pub(super) fn text(&self) -> String {
        let headers = self.columns.map(|column| column.header().to_owned());
        let lines = || std::iter::once(&headers).chain(&self.rows);
        let widths: [usize; N] = std::array::from_fn(|at| {
            lines().map(|cells| cells[at].chars().count()).max().unwrap_or(0)
        });
        let mut text = String::new();
        for cells in lines() {
            let mut line = String::new();
            for ((cell, column), width) in cells.iter().zip(self.columns).zip(widths) {
                let gap = if line.is_empty() { "" } else { GAP };
                let _ = match column {
                    Column::Left(_) => write!(line, "{gap}{cell:<width$}"),
                    Column::Right(_) => write!(line, "{gap}{cell:>width$}"),
                };
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

/// What an optional cell shows.
pub(super) fn cell<T: ToString>(value: &Option<T>) -> String {
    value.as_ref().map(T::to_string).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_align_and_nothing_is_a_dash() {
        let mut table = Table::new([Column::Left("NAME"), Column::Right("N"), Column::Left("X")]);
        table.row(["ü".into(), "1".into(), String::new()]);
        table.row(["longer".into(), "1234".into(), "y".into()]);
        assert_eq!(table.text(), "NAME        N   X\nü           1   -\nlonger   1234   y\n");
    }

    #[test]
    fn an_empty_table_is_its_header() {
        assert_eq!(Table::new([Column::Left("A"), Column::Right("B")]).text(), "A   B\n");
    }
}
