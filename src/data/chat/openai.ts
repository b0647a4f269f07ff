/** OpenAI's form: a list of messages with role and content, tool_calls, and weight where a message is not trained on. */
import { UserError } from '../../util/errors.js';
import { isObject, messagesOf } from './conversation.js';
import { listIn, type ChatForm } from './form.js';

export const openai: ChatForm = {
  about: 'messages of role and content',
  needed: ['messages'],
  optional: ['tools'],
  messages(cells) {
    const list = listIn(cells, 'messages') ?? [];
    const [first] = list;
    if (isObject(first) && 'from' in first && !('role' in first))
      throw new UserError(
        "its messages have 'from' and 'value': say form: sharegpt, and name the column under 'columns' as conversations",
      );
    return messagesOf(list);
  },
};
