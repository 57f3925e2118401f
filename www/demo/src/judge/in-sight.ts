import type { RefObject } from 'preact';
import { useEffect } from 'preact/hooks';

/** Space kept free at the window's edges, in pixels. */
const MARGIN = 16;

/**
 * Keeps the end of a sticky column in sight while the page is scrolled, however high it is: a column
 * higher than the window scrolls until its end is seen, and stays there.
 */
export function useInSight(column: RefObject<HTMLElement | null>): void {
  useEffect(() => {
    const element = column.current;
    if (!element) return;
    const place = () => {
      const top = Math.min(MARGIN, innerHeight - element.offsetHeight - MARGIN);
      element.style.setProperty('--stick-at', `${top}px`);
    };
    const observer = new ResizeObserver(place);
    observer.observe(element);
    addEventListener('resize', place);
    return () => {
      observer.disconnect();
      removeEventListener('resize', place);
    };
  }, []);
}
