/** A chat's row: its conversation, out of whatever form the table has, as one canonical text of JSON. */

import { basename } from 'node:path';
import { chatColumns, chatsSelected, type ChatFormName, type Conversation } from '../data/chat/index.js';
import { UserError } from '../util/errors.js';
import { mapped } from '../util/list.js';
import { askedOf } from './chat-turns.js';
import { leftOutNotice, type TaskRows } from './rows.js';
import type { DataRow } from './wording.js';

/** The one cell of a chat's row. */
const CELL = 'conversation';

export function chatRows(form?: ChatFormName): TaskRows {
  return {
    *select(table, names, source) {
      const columns = Object.fromEntries(
        chatColumns(form).map((column) => [column, names[column] ?? column]),
      );
      const found = yield* chatsSelected(table, columns, source, form);
      const by = found.recognisedBy;
      const why = [...new Set(found.leftOut.map((one) => one.why))];
      if (found.conversations.length === 0)
        throw new UserError(
          `${source}: not one of its ${table.length} rows can be learnt from: ${why.join(', ')}`,
        );
      return {
        rows: mapped(found.conversations, (conversation) => ({ [CELL]: JSON.stringify(conversation) })),
        indices: found.indices,
        notices: [
          ...(by
            ? [
                `${basename(source)}: chats in the form ${found.form}, by its column${by.length > 1 ? 's' : ''} ${by.join(' and ')}`,
              ]
            : []),
          ...why.map((reason) => {
            const rows = found.leftOut.filter((one) => one.why === reason).map(({ index }) => index);
            return leftOutNotice(source, table.length, rows, reason);
          }),
        ],
      };
    },
    shown: (row) => askedOf(conversationIn(row)),
  };
}

/** The conversation of a chat's row, or of its sample's values. */
export function conversationIn(row: DataRow): Conversation {
  return JSON.parse(row[CELL] as string) as Conversation;
}
