/**
 * How browsers are to decode: turned by EXIF as the engine turns, colour profiles ignored as Pillow and
 * the engine ignore them.
 */
export const BITMAP_OPTIONS: ImageBitmapOptions = {
  imageOrientation: 'from-image',
  premultiplyAlpha: 'none',
  colorSpaceConversion: 'none',
};
