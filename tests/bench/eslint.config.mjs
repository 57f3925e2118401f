import shared from '../../www/eslint.config.mjs';

export default [{ ignores: ['candle/pkg/'] }, ...shared];
