/** What the package's words put between backticks: a key, a value, a command. */
const MARKED = /`([^`]+)`/;

/** A sentence of the package, with what it marks as code shown as code. */
export function Words({ text }: { text: string }) {
  // What a pattern captures comes at every second place.
  const parts = text.split(MARKED);
  return (
    <>{parts.map((part, at) => (at % 2 === 0 ? part || null : <code key={at}>{part}</code>))}</>
  );
}

/** The same as bare text. */
export function withoutMarks(text: string): string {
  return text.replaceAll(new RegExp(MARKED, 'g'), '$1');
}
