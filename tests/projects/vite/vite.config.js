export default {
  base: './',
  build: { target: 'es2022' },
  // The worker loads one of several builds: a script in one piece cannot.
  worker: { format: 'es' },
  // The package finds its worker by its own address, which the development server's copies do not have.
  optimizeDeps: { exclude: ['llavaguard', 'llavaguard-demo-model'] },
};
