/**
 * Chats out of a table, whatever form they have there: a file a form, one table of all. The form goes by the columns, or is said.
 */
import { UserError } from '../../util/errors.js';
import { isLazy, Lazy, type List } from '../../util/list.js';
import { own } from '../../util/own.js';
import { atOnce } from '../../util/turns.js';
import type { Row } from '../row.js';
import { checkColumns, columnsOf } from '../select.js';
import { alpaca } from './alpaca.js';
import { isObject, ROLES, type Conversation, type TextMessage } from './conversation.js';
import { CHAT_COLUMNS, listIn, type ChatCells, type ChatColumn, type ChatForm } from './form.js';
import { openai } from './openai.js';
import { promptCompletion } from './prompt-completion.js';
import { sharegpt } from './sharegpt.js';

/** The forms; of several whose columns a table has, the first is taken. */
const FORMS = { openai, sharegpt, prompt_completion: promptCompletion, alpaca } satisfies Readonly<
  Record<string, ChatForm>
>;

/** A form's name. */
export type ChatFormName = keyof typeof FORMS;
/** In the order in which they are tried. */
export const CHAT_FORMS = Object.keys(FORMS) as [ChatFormName, ...ChatFormName[]];

/** What each is, for people. */
export const chatFormsInWords = CHAT_FORMS.map((name) => `${name} (${FORMS[name].about})`).join(', ');

/** The columns that a form may read; without a form: that any may. */
export function chatColumns(form?: ChatFormName): ChatColumn[] {
  if (form === undefined) return Object.keys(CHAT_COLUMNS) as ChatColumn[];
  const { needed, optional }: ChatForm = FORMS[form];
  return [...needed, ...optional];
}

/** The chats of a table. */
export interface SelectedChats<Chats = Conversation[]> {
  readonly form: ChatFormName;
  /** Whether the form was recognised, and by which of the table's columns. */
  readonly recognisedBy?: readonly string[];
  readonly conversations: Chats;
  /** conversations[i] is of the table's row indices[i]. */
  readonly indices: number[];
  /** Rows without anything to learn, and why. */
  readonly leftOut: { readonly index: number; readonly why: string }[];
}

/**
 * @param columns from the task's names for columns to the table's
 * @param source names the table in messages
 * @throws UserError for a table of no form that is known, and, with the row, for one that is no conversation
 */
export function selectChats(
  table: readonly Row[],
  columns: Readonly<Partial<Record<ChatColumn, string>>>,
  source: string,
  wanted?: ChatFormName,
): SelectedChats;
/** Of a table that is read as it is asked for they are so, too. */
export function selectChats(
  table: List<Row>,
  columns: Readonly<Partial<Record<ChatColumn, string>>>,
  source: string,
  wanted?: ChatFormName,
): SelectedChats<List<Conversation>>;
export function selectChats(
  table: List<Row>,
  columns: Readonly<Partial<Record<ChatColumn, string>>>,
  source: string,
  wanted?: ChatFormName,
): SelectedChats<List<Conversation>> {
  return atOnce(chatsSelected(table, columns, source, wanted));
}

/** The same in pieces, for `inTurns`. */
export function* chatsSelected(
  table: List<Row>,
  columns: Readonly<Partial<Record<ChatColumn, string>>>,
  source: string,
  wanted?: ChatFormName,
): Generator<void, SelectedChats<List<Conversation>>, void> {
  const nameOf = (column: ChatColumn): string => columns[column] ?? column;
  // Of a form that comes later another row may have the columns of an earlier one.
  const first = FORMS[CHAT_FORMS[0]].needed.map(nameOf);
  const present = columnsOf(table, wanted === undefined ? first : []);
  const form = wanted ?? CHAT_FORMS.find((name) => FORMS[name].needed.every((c) => present.has(nameOf(c))));
  if (form === undefined) {
    const known = CHAT_FORMS.map((name) => FORMS[name].needed.map(nameOf).join(' and ')).join(', ');
    throw new UserError(
      `${source} has the columns of no form of chats (${known}), but ${[...present].join(', ')}; name them under 'columns'`,
    );
  }
  const { needed }: ChatForm = FORMS[form];
  checkColumns(table, needed.map(nameOf), source);
  const read = chatColumns(form);
  const conversationAt = (row: Row, index: number): Conversation => {
    const cells = Object.fromEntries(read.map((column) => [column, own(row, nameOf(column))])) as ChatCells;
    try {
      return conversationOf(FORMS[form], cells);
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      throw new UserError(`${source}: row ${index + 1}: ${error.message}`);
    }
  };
  const conversations: Conversation[] = [];
  const [indices, leftOut]: [number[], { index: number; why: string }[]] = [[], []];
  let index = -1;
  for (const row of table) {
    if (++index % 64 === 63) yield;
    const conversation = conversationAt(row, index);
    const why = nothingLearnt(conversation);
    if (why !== undefined) leftOut.push({ index, why });
    else {
      if (!isLazy(table)) conversations.push(conversation);
      indices.push(index);
    }
  }
  const again = (i: number): Conversation => conversationAt(table.at(indices[i]!)!, indices[i]!);
  return {
    form,
    ...(wanted === undefined && { recognisedBy: needed.map(nameOf) }),
    conversations: isLazy(table) ? new Lazy(indices.length, again) : conversations,
    ...{ indices, leftOut },
  };
}

function conversationOf(form: ChatForm, cells: ChatCells): Conversation {
  const messages = form.messages(cells).map(plain);
  const strange = messages.findIndex(({ role }) => !ROLES.some((known) => known === role));
  if (strange >= 0)
    throw new UserError(
      `message ${strange + 1} has the role ${JSON.stringify(messages[strange]!.role)}, which is none of ${ROLES.join(', ')}`,
    );
  const tools = listIn(cells, 'tools') ?? [];
  if (!tools.every(isObject)) throw new UserError('its tools are no list of objects');
  return { messages, ...(tools.length > 0 && { tools }) };
}

/** With a text as its content, since templates write None where a content is null. */
function plain({ role, content, ...others }: TextMessage): TextMessage {
  return { role, content: content ?? '', ...others };
}

/** Why nothing can be learnt of a conversation; undefined where something can. */
function nothingLearnt({ messages }: Conversation): string | undefined {
  if (messages.length === 0) return 'they have no messages';
  const turns = messages.filter(({ role }) => role === 'assistant');
  if (turns.length === 0) return 'they have no assistant turn';
  const said = turns.filter(
    ({ content, tool_calls = [] }) => content!.trim() !== '' || tool_calls.length > 0,
  );
  if (said.length === 0) return 'their assistant turns are empty';
  if (said.every(({ weight }) => weight === 0)) return 'all assistant turns have weight 0';
  return messages[0]!.role === 'assistant' && messages.length === 1 ? 'they answer nothing' : undefined;
}

export { messagesOf, type Conversation, type TextMessage } from './conversation.js';
export { CHAT_COLUMNS, type ChatColumn } from './form.js';
