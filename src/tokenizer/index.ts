/** Text to token ids and back, and conversations as texts. */
export { ChatTemplate } from './jinja/index.js';
export { TextStream } from './stream.js';
export { Tokenizer, type ChatMessage } from './tokenizer.js';
