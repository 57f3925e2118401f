//! Example policies that ship with the crate.

/// An example policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preset {
    /// Short name, e.g. `weapons-museum`.
    pub id: &'static str,
    /// The policy document.
    pub json: &'static str,
}

/// The example policies. `european-union` is the EU text with its answer list brought together
/// with its body; `pegi-12` takes its rules from the authors' PEGI taxonomy.
pub const PRESETS: [Preset; 5] = [
    Preset {
        id: "weapons-museum",
        json: include_str!("../presets/weapons-museum.json"),
    },
    Preset {
        id: "school",
        json: include_str!("../presets/school.json"),
    },
    Preset {
        id: "european-union",
        json: include_str!("../presets/european-union.json"),
    },
    Preset {
        id: "pegi-12",
        json: include_str!("../presets/pegi-12.json"),
    },
    Preset {
        id: "news-desk",
        json: include_str!("../presets/news-desk.json"),
    },
];
