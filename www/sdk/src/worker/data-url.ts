/**
 * The bytes in a `data:` address; none where it is another kind of address, or damaged. Nothing is
 * fetched: content security policies rarely allow that for such addresses.
 */
export function dataUrlBytes(url: string): Uint8Array<ArrayBuffer> | undefined {
  const [head, base64] = /^data:[^,]*?(;base64)?,/i.exec(url) ?? [];
  if (head === undefined) return undefined;
  try {
    // Percent signs stand for bytes, not for characters.
    const body = url.slice(head.length).replace(/#.*$/s, '');
    const text = body.replace(/%([0-9a-f]{2})/gi, (_, hex: string) =>
      String.fromCharCode(parseInt(hex, 16)),
    );
    const bytes = base64 === undefined ? text : atob(text);
    return Uint8Array.from(bytes, (char) => char.charCodeAt(0));
  } catch {
    return undefined;
  }
}
