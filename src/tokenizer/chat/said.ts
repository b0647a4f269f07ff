/** What a template may write where an assistant said nothing. */
import { ASSISTANT, type Message } from './messages.js';
import { attempted, refusal, type Rendered, type Rendering } from './rendering.js';

/** @throws UserError where a content that is not there is written as Python's word for it, which is no answer */
export function checkSaid(rendering: Rendering, messages: readonly Message[], given: Rendered): void {
  const isMissing = ({ role, content }: Message): boolean =>
    role === ASSISTANT && (content === null || content === undefined);
  if (!messages.some(isMissing)) return;
  const others = messages.map((message) => (isMissing(message) ? { ...message, content: '' } : message));
  const empty = attempted(rendering, others);
  if (!empty) return;
  for (const [i, message] of messages.entries()) {
    if (!isMissing(message)) continue;
    const [text, other] = [textOf(given, i), textOf(empty, i)];
    if (text === other || text.replace('None', '') !== other) continue;
    const why = "it has no content, which the template writes as 'None'";
    throw refusal(rendering, messages, i, why, 'give it an empty one');
  }
}

const textOf = ({ text, turns }: Rendered, i: number): string =>
  (turns.get(i) ?? []).map(({ start, end }) => text.slice(start, end)).join('');
