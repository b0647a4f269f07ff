/** Alpaca's form: an instruction, what it is about, and the answer; as LLaMA-Factory has it, with `system` and `history`, too. */
import { UserError } from '../../util/errors.js';
import type { TextMessage } from './conversation.js';
import { listIn, systemIn, textIn, type ChatForm } from './form.js';

export const alpaca: ChatForm = {
  about: 'instruction, input and output',
  needed: ['instruction', 'output'],
  optional: ['input', 'system', 'history', 'tools'],
  messages(cells) {
    const input = textIn(cells, 'input');
    const instruction = textIn(cells, 'instruction');
    const earlier = (listIn(cells, 'history') ?? []).flatMap((pair, i) => {
      if (Array.isArray(pair) && pair.length === 2 && pair.every((text) => typeof text === 'string'))
        return turns(pair[0] as string, pair[1] as string);
      throw new UserError(`its history holds something as entry ${i + 1} that is no pair of texts`);
    });
    return [
      ...systemIn(cells),
      ...earlier,
      ...turns(input.trim() === '' ? instruction : `${instruction}\n${input}`, textIn(cells, 'output')),
    ];
  },
};

function turns(user: string, assistant: string): TextMessage[] {
  return [
    { role: 'user', content: user },
    { role: 'assistant', content: assistant },
  ];
}
