/**
 * A charsmap as SentencePiece compiles one, for the normalizer `Precompiled`: four bytes with the size of a double array, the double array
 * (darts-clone's units of 32 bits over the keys' UTF-8), and the replacements, each ended by a zero. A key's value is where its replacement
 * begins.
 */

interface Node {
  readonly children: Map<number, Node>;
  value?: number;
}

/** In base64, as `precompiled_charsmap` has it. Keys are not empty and have no U+0000. */
export function charsmap(replacements: Readonly<Record<string, string>>): string {
  const root: Node = { children: new Map() };
  const texts: Buffer[] = [];
  let at = 0;
  for (const [key, replacement] of Object.entries(replacements)) {
    let node = root;
    for (const byte of Buffer.from(key)) {
      const next = node.children.get(byte) ?? { children: new Map() };
      node.children.set(byte, next);
      node = next;
    }
    node.value = at;
    texts.push(Buffer.from(`${replacement}\0`));
    at += texts.at(-1)!.length;
  }
  const units = doubleArray(root);
  const head = Buffer.alloc(4 + 4 * units.length);
  head.writeUInt32LE(4 * units.length, 0);
  units.forEach((unit, i) => head.writeUInt32LE(unit >>> 0, 4 + 4 * i));
  return Buffer.concat([head, ...texts]).toString('base64');
}

/**
 * The unit of a node has its label (bits 0 to 7), whether a key ends there (bit 8), and from bit 10 on by what its place is XORed
 * for the place of the children: one with label c is there XOR c, a value there itself, marked by bit 31.
 */
function doubleArray(root: Node): number[] {
  const units: number[] = [];
  const taken = new Set([0]);
  const place = (node: Node, at: number, label: number): void => {
    const labels = [...(node.value === undefined ? [] : [0]), ...node.children.keys()];
    let base = 1;
    while (labels.some((c) => taken.has(base ^ c))) base++;
    for (const c of labels) taken.add(base ^ c);
    units[at] = label | (node.value === undefined ? 0 : 1 << 8) | ((at ^ base) << 10);
    if (node.value !== undefined) units[base] = node.value | (1 << 31);
    for (const [c, child] of node.children) place(child, base ^ c, c);
  };
  place(root, 0, 0);
  return Array.from({ length: 256 * Math.ceil(units.length / 256) }, (_, i) => units[i] ?? 0);
}
