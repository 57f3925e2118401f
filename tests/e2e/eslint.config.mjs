export { default } from '../../www/eslint.config.mjs';
