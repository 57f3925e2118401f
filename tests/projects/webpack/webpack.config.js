export default {
  mode: 'production',
  entry: './src/main.js',
  output: { clean: true },
  // The engine and the demo model are as large as they are.
  performance: { hints: false },
};
