import type { PolicyDocument } from 'llavaguard';

import europeanUnion from '../../../../crates/policy/presets/european-union.json' with { type: 'json' };
import newsDesk from '../../../../crates/policy/presets/news-desk.json' with { type: 'json' };
import school from '../../../../crates/policy/presets/school.json' with { type: 'json' };
import weaponsMuseum from '../../../../crates/policy/presets/weapons-museum.json' with { type: 'json' };

/** Policies to start from; all but the first ship with the command line too. */
export const PRESETS = {
  default: { base: 'llavaguard-v1.2' },
  museum: weaponsMuseum,
  school,
  news: newsDesk,
  europe: europeanUnion,
} as Record<PresetId, PolicyDocument>;

export type PresetId = 'default' | 'museum' | 'school' | 'news' | 'europe';

export const PRESET_IDS = Object.keys(PRESETS) as PresetId[];

/** The preset a document is, if it is one unchanged. */
export function presetOf(document: PolicyDocument): PresetId | undefined {
  const text = sorted(document);
  return PRESET_IDS.find((id) => sorted(PRESETS[id]) === text);
}

/** A document's text whatever the order of its keys. */
function sorted(document: PolicyDocument): string {
  return JSON.stringify(document, (_, value: unknown) =>
    typeof value === 'object' && value !== null && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
      : value,
  );
}
