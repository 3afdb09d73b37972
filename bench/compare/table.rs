//! A table, and the three ways to write one: for a terminal, in Markdown, in HTML.

/// Rows under a head; the first columns are words, the others figures.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// Above it.
    pub title: String,
    /// A sentence or two on how to read it; may be empty.
    pub note: String,
    /// So many columns are words and stand at the left.
    pub words: usize,
    /// What the columns are.
    pub head: Vec<String>,
    /// As many fields each as the head has.
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// Without rows.
    pub fn new(title: &str, note: &str, words: usize, head: Vec<String>) -> Table {
        Table { title: title.to_owned(), note: note.to_owned(), words, head, rows: Vec::new() }
    }

    /// In columns of equal width, for a terminal.
    pub fn text(&self) -> String {
        let mut widths: Vec<usize> = self.head.iter().map(|field| field.chars().count()).collect();
        for row in &self.rows {
            for (width, field) in widths.iter_mut().zip(row) {
                *width = (*width).max(field.chars().count());
            }
        }
        let line = |fields: &Vec<String>| {
            let padded: Vec<String> = fields
                .iter()
                .zip(&widths)
                .enumerate()
                .map(|(column, (field, width))| match column {
                    word if word < self.words => format!("{field:<width$}"),
                    _ => format!("{field:>width$}"),
                })
                .collect();
            padded.join("  ").trim_end().to_owned() + "\n"
        };
        let rows: String = self.rows.iter().map(line).collect();
        format!("{}\n{}{rows}", self.title, line(&self.head))
    }

    /// As Markdown, the title a heading of the second level.
    pub fn markdown(&self) -> String {
        let line = |fields: &[String]| {
            let fields: Vec<_> = fields.iter().map(|field| field.replace('|', "\\|")).collect();
            format!("| {} |\n", fields.join(" | "))
        };
        let figures = self.head.len().saturating_sub(self.words);
        let rule = format!("|{}{}", "---|".repeat(self.words), "---:|".repeat(figures));
        let rows: String = self.rows.iter().map(|row| line(row)).collect();
        let note = if self.note.is_empty() { String::new() } else { format!("{}\n\n", self.note) };
        format!("## {}\n\n{note}{}{rule}\n{rows}", self.title, line(&self.head))
    }

    /// As HTML, the title a heading of the second level.
    pub fn html(&self) -> String {
        let cells = |fields: &[String], tag: &str| -> String {
            let field = |(column, field): (usize, &String)| {
                let class = if column < self.words { " class=\"word\"" } else { "" };
                format!("<{tag}{class}>{}</{tag}>", escaped(field))
            };
            fields.iter().enumerate().map(field).collect()
        };
        let rows: String =
            self.rows.iter().map(|row| format!("<tr>{}</tr>\n", cells(row, "td"))).collect();
        let note = match self.note.as_str() {
            "" => String::new(),
            note => format!("<p>{}</p>\n", escaped(note)),
        };
        format!(
            "<h2>{}</h2>\n{note}<table>\n<tr>{}</tr>\n{rows}</table>\n",
            escaped(&self.title),
            cells(&self.head, "th")
        )
    }
}

/// Text as it stands in HTML.
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
