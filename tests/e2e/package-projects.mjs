/** Packs the package, installs it beside a copy of a project, and builds that as a site would. */

import { execFile } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

/** Runs a program; rejects with what it wrote where it fails. */
export const run = promisify(execFile);
const REPOSITORY = fileURLToPath(new URL('../../', import.meta.url));
/** The locked tools, with React. */
export const TOOLS = join(REPOSITORY, 'tests/projects/node_modules');

/**
 * A place with the tarballs of the package and the demo model installed.
 * @returns {Promise<{ folder: string, tarballs: string[], build: (project: string, prepare?: (folder: string) => void) => Promise<string>, remove: () => void }>}
 *   `build` copies a project of the repository, builds it and gives where it is
 */
export async function installPackage() {
  const place = mkdtempSync(join(tmpdir(), 'llavaguard-projects-'));
  const packed = await Promise.all(
    ['www/sdk', 'models/demo'].map(async (folder) => {
      const { stdout } = await run('npm', ['pack', '--json', '--pack-destination', place], {
        cwd: join(REPOSITORY, folder),
      });
      return join(place, JSON.parse(stdout)[0].filename);
    }),
  );
  writeFileSync(join(place, 'package.json'), '{ "private": true }');
  const offline = ['--offline', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
  await run('npm', ['install', ...offline, ...packed], { cwd: place });
  for (const name of ['react', 'react-dom', 'scheduler']) {
    symlinkSync(join(TOOLS, name), join(place, 'node_modules', name));
  }
  return {
    folder: place,
    tarballs: packed,
    build: async (project, prepare = () => undefined) => {
      // With what lies beside it: examples share their looks.
      const folder = join(place, project);
      cpSync(join(REPOSITORY, project, '..'), join(folder, '..'), {
        recursive: true,
        filter: (path) => !path.endsWith('node_modules'),
      });
      const packages = join(folder, 'node_modules');
      if (!existsSync(packages)) symlinkSync(join(place, 'node_modules'), packages);
      mkdirSync(join(folder, 'public'), { recursive: true });
      prepare(folder);
      const PATH = [join(TOOLS, '.bin'), process.env['PATH']].join(delimiter);
      await run('npm', ['run', 'build', '--if-present'], {
        cwd: folder,
        env: { ...process.env, PATH },
      });
      return folder;
    },
    remove: () => {
      rmSync(place, { recursive: true, force: true });
    },
  };
}
