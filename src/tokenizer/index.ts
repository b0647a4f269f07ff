/** Text to token ids and back, and conversations as texts. */
export {
  CHATML,
  ChatRenderer,
  trainedTokens,
  type ChatOptions,
  type Message,
  type RenderedChat,
} from './chat/index.js';
export {
  CHAT_TEMPLATE,
  chatTemplateSource,
  readOptionalJson,
  settle,
  specialTokens,
  TOKENIZER_FILES,
  tokenizerFiles,
  vocabulary,
  type Json,
} from './files.js';
export { GrowingText } from './growing-text.js';
export { ChatTemplate } from './jinja/index.js';
export { TextStream } from './stream.js';
export { Tokenizer, type ChatMessage } from './tokenizer.js';
