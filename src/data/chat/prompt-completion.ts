/** TRL's form of a prompt and its completion: two texts, a user's and an assistant's, or two lists of messages. */
import { messagesOf, type TextMessage } from './conversation.js';
import { listIn, textIn, type ChatCells, type ChatForm } from './form.js';

export const promptCompletion: ChatForm = {
  about: 'prompt and completion, as texts or as messages',
  needed: ['prompt', 'completion'],
  optional: ['tools'],
  messages: (cells) => [
    // What the prompt has of the assistant's is given, and not learnt.
    ...part(cells, 'prompt', 'user').map((message) =>
      message.role === 'assistant' ? { ...message, weight: 0 as const } : message,
    ),
    ...part(cells, 'completion', 'assistant'),
  ],
};

function part(cells: ChatCells, column: 'prompt' | 'completion', role: string): TextMessage[] {
  const cell = cells[column];
  if (Array.isArray(cell) || (typeof cell === 'string' && /^\s*\[\s*\{/.test(cell) && isMessages(cell)))
    return messagesOf(listIn(cells, column) ?? []);
  return [{ role, content: textIn(cells, column) }];
}

/** Whether a text is a list of messages written as JSON, as a CSV file holds it. */
function isMessages(text: string): boolean {
  try {
    messagesOf(JSON.parse(text));
    return true;
  } catch {
    return false;
  }
}
