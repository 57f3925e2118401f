//! WGSL put together from files: named gaps, constants, and loops written out.
//!
//! `{{NAME}}` is replaced by a text. A line `//#for r in NAME` repeats the lines up to its `//#end` for
//! each `$r` below the constant NAME: registers cannot be indexed, so what a thread holds several of
//! has to have names. Loops may hold loops.

use crate::tiles;

/// How a loop begins.
const LOOP: &str = "//#for ";

/// Files and what fills their gaps.
#[derive(Debug, Clone, Default)]
pub struct Template {
    body: String,
    gaps: Vec<(String, String)>,
    counts: Vec<(String, usize)>,
    flags: Vec<(String, bool)>,
}

impl Template {
    /// Starts with these files.
    pub fn new(files: &[&str]) -> Self {
        let mut template = Template::default();
        for file in files {
            template.then(file);
        }
        template
    }

    /// Adds a file.
    pub fn then(&mut self, file: &str) -> &mut Self {
        self.body.push_str(file);
        self.body.push('\n');
        self
    }

    /// Fills a gap.
    pub fn set(&mut self, name: &str, text: &str) -> &mut Self {
        self.gaps.push((name.to_owned(), text.to_owned()));
        self
    }

    /// Defines a constant, over which loops may be written out.
    pub fn count(&mut self, name: &str, value: usize) -> &mut Self {
        self.counts.push((name.to_owned(), value));
        self
    }

    /// Defines a constant that is true or false.
    pub fn flag(&mut self, name: &str, value: bool) -> &mut Self {
        self.flags.push((name.to_owned(), value));
        self
    }
}

/// The finished WGSL.
pub fn expand(template: &Template) -> String {
    let mut body = template.body.clone();
    // Twice, since what fills a gap may have gaps.
    for _ in 0..2 {
        for (name, text) in &template.gaps {
            body = body.replace(&format!("{{{{{name}}}}}"), text);
        }
    }
    let mut out = tiles::header();
    for (name, value) in &template.counts {
        out.push_str(&format!("const {name}: u32 = {value}u;\n"));
    }
    for (name, value) in &template.flags {
        out.push_str(&format!("const {name}: bool = {value};\n"));
    }
    let lines: Vec<&str> = body.lines().collect();
    unroll(&lines, &template.counts, &mut out);
    out
}

/// Copies lines, writing loops out, the outer ones first.
fn unroll(lines: &[&str], counts: &[(String, usize)], out: &mut String) {
    let mut rest = lines.iter();
    while let Some(line) = rest.next() {
        let Some(head) = line.trim().strip_prefix(LOOP) else {
            out.push_str(line);
            out.push('\n');
            continue;
        };
        let (variable, name) = head.split_once(" in ").unwrap_or((head, ""));
        let count = counts
            .iter()
            .find(|(known, _)| known == name)
            .map_or(0, |(_, count)| *count);
        let mut depth = 1;
        let body: Vec<&str> = rest
            .by_ref()
            .take_while(|line| {
                let line = line.trim();
                depth += usize::from(line.starts_with(LOOP));
                depth -= usize::from(line == "//#end");
                depth > 0
            })
            .copied()
            .collect();
        for index in 0..count {
            let index = index.to_string();
            let named: Vec<String> = body
                .iter()
                .map(|line| line.replace(&format!("${variable}"), &index))
                .collect();
            let lines: Vec<&str> = named.iter().map(String::as_str).collect();
            unroll(&lines, counts, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fills_gaps_and_writes_loops_out() {
        let mut template = Template::new(&["a{{X}}\n  //#for i in N\nb$i $iu\n  //#end\nc"]);
        template.set("X", "{{Y}}!").set("Y", "z").count("N", 2);
        let text = expand(&template);
        let text = text.strip_prefix(&tiles::header()).unwrap();
        assert_eq!(text, "const N: u32 = 2u;\naz!\nb0 0u\nb1 1u\nc\n");
    }

    #[test]
    fn loops_may_hold_loops() {
        let body = "//#for i in N\na$i\n//#for j in M\n$i$j\n//#end\nb$i\n//#end\nc";
        let mut template = Template::new(&[body]);
        template.count("N", 2).count("M", 2);
        let text = expand(&template);
        let text = text.split_once("const M: u32 = 2u;\n").unwrap().1;
        assert_eq!(text, "a0\n00\n01\nb0\na1\n10\n11\nb1\nc\n");
    }
}
