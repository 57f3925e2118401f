import type { BuildName } from '../builds.js';

type Glue = typeof import('../../wasm/simd/llavaguard.js');
type ThreadedGlue = typeof import('../../wasm/relaxed/llavaguard.js');
type GpuGlue = typeof import('../../wasm/webgpu/llavaguard.js');

/** What a build's JavaScript offers; the pool's functions only where it has threads, the adapter's
 * and the GPU's only where it has one. */
export type Module = Omit<Glue, 'default' | 'initSync'>
  & Partial<
    Pick<ThreadedGlue, 'runPoolThread' | 'startPool'> & Pick<GpuGlue, 'prepareGpu' | 'useAdapter'>
  > & {
    default(options: {
      module_or_path: WebAssembly.Module;
      memory?: WebAssembly.Memory;
    }): Promise<{ memory: WebAssembly.Memory }>;
  };

/** The JavaScript of a build, and where its WebAssembly lies; paths as bundlers want to see them. */
export async function buildFiles(build: BuildName): Promise<{ glue: Module; wasm: URL }> {
  switch (build) {
    case 'webgpu':
      return {
        glue: await import('../../wasm/webgpu/llavaguard.js'),
        wasm: new URL('../../wasm/webgpu/llavaguard_bg.wasm', import.meta.url),
      };
    case 'relaxed':
      return {
        glue: await import('../../wasm/relaxed/llavaguard.js'),
        wasm: new URL('../../wasm/relaxed/llavaguard_bg.wasm', import.meta.url),
      };
    case 'relaxed-single':
      return {
        glue: await import('../../wasm/relaxed-single/llavaguard.js'),
        wasm: new URL('../../wasm/relaxed-single/llavaguard_bg.wasm', import.meta.url),
      };
    case 'simd':
      return {
        glue: await import('../../wasm/simd/llavaguard.js'),
        wasm: new URL('../../wasm/simd/llavaguard_bg.wasm', import.meta.url),
      };
  }
}

/** Fetches and compiles a module, while it arrives where the server names its type. */
export async function compile(url: URL): Promise<WebAssembly.Module> {
  const response = await fetch(url);
  if (!response.ok) {
    throw new Error(`${url.href} could not be fetched: the server said ${response.status}`);
  }
  return response.headers.get('content-type')?.startsWith('application/wasm')
    ? WebAssembly.compileStreaming(response)
    : WebAssembly.compile(await response.arrayBuffer());
}
