/** The spans that a template's authors marked by `{% generation %}` and `{% endgeneration %}`. */
import { UserError } from '../../util/errors.js';
import type { Written } from '../jinja/index.js';
import { ASSISTANT, type Message } from './messages.js';
import type { ChatSpan, Rendered, Rendering } from './rendering.js';
import type { Turns } from './turns.js';

/**
 * In order; marks that touch and are of one message are one span.
 * @throws UserError for marks that cannot be found in the text, or of which nobody can say whose they are
 */
export function markedSpans(
  { template }: Rendering,
  messages: readonly Message[],
  { trace, turns }: Rendered,
): ChatSpan[] {
  const refused = (where: string): UserError =>
    new UserError(
      `${template.path}: {% generation %} stands ${where}, where it does not tell whose words it marks`,
    );
  if (trace.isHidden.mark) throw refused('within a macro or a block that is written elsewhere');
  const spans: ChatSpan[] = [];
  for (const mark of [...trace.marks].sort((a, b) => a.start - b.start)) {
    const { start, end } = mark;
    const owner = mark.message === undefined ? behind(turns, mark) : around(turns, mark, mark.message);
    const last = spans.at(-1);
    if (!owner || (last && start < last.end))
      throw refused('outside of a loop over the messages or across another');
    const { message, turn } = owner;
    // What stands behind all messages, as the end of a text, is nobody's where an assistant's is not the last.
    if (mark.message === undefined && messages[message]!.role !== ASSISTANT) continue;
    if (last?.message === message && last.end === start) spans[spans.length - 1] = { ...last, end, turn };
    else spans.push({ message, start, end, turn });
  }
  return spans;
}

type Owner = Pick<ChatSpan, 'message' | 'turn'> | undefined;

function around(turns: Turns, { start, end }: Written, message: number): Owner {
  const turn = turns.get(message)?.find((piece) => piece.start <= start && end <= piece.end);
  return turn && { message, turn };
}

/** Of the last message that is written before, as if what stands behind belonged to it. */
function behind(turns: Turns, { start, end }: Written): Owner {
  const before = Array.from(turns, ([message, pieces]) => ({ message, turn: pieces.at(-1)! }));
  const [last] = before.filter(({ turn }) => turn.end <= start).sort((a, b) => b.turn.end - a.turn.end);
  return last && { message: last.message, turn: { start: last.turn.start, end } };
}
