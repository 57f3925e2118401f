/** Where the demo model lies; for `LlavaGuard.load({ model: demoModel })`. */
export declare const demoModel: { manifest: URL; files: URL[] };
