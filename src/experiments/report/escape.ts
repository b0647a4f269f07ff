/** Text from data in HTML and SVG. */

import { visibleLines } from '../../util/visible.js';

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** For elements' contents and quoted attributes; control characters, which no document may hold, are shown as escapes. */
export function escapeText(text: string): string {
  return visibleLines(text).replace(/[&<>"']/g, (c) => ENTITIES[c]!);
}
