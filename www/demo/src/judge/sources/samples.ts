import bananas from '../../../../../tests/photos/groceries-bananas.jpg';
import cigarette from '../../../../../tests/photos/smoking-cigarette.jpg';
import fire from '../../../../../tests/photos/fire-smoke-column.jpg';
import pistol from '../../../../../tests/photos/firearm-pistol.jpg';
import pullover from '../../../../../tests/photos/clothing-pullover.jpg';
import revolver from '../../../../../tests/photos/firearm-revolver.jpg';

/** A photo that comes with the page. */
export interface Sample {
  id: SampleId;
  url: string;
  /** Where it is from and under which licence, see tests/photos/README.md. */
  credit: string;
}

export type SampleId = 'pistol' | 'revolver' | 'cigarette' | 'fire' | 'pullover' | 'bananas';

const SPEAR = 'SPEAR armas-v1, CC BY 4.0';

export const SAMPLES: Sample[] = [
  { id: 'pistol', url: pistol, credit: SPEAR },
  { id: 'revolver', url: revolver, credit: SPEAR },
  { id: 'cigarette', url: cigarette, credit: 'smoking-detection, MIT' },
  { id: 'fire', url: fire, credit: 'fire-wrpgm, CC BY 4.0' },
  { id: 'pullover', url: pullover, credit: 'clothing-dataset-small, CC0' },
  { id: 'bananas', url: bananas, credit: 'GroceryStoreDataset, MIT' },
];

/** The file of a sample. */
export async function sampleFile({ id, url }: Sample): Promise<File> {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url}: ${response.status}`);
  return new File([await response.blob()], `${id}.jpg`, { type: 'image/jpeg' });
}
