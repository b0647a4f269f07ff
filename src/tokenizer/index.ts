/** Text to token ids and back. */
export { TextStream, Tokenizer, type ChatMessage } from './tokenizer.js';
