/** The merges that joining neighbours to the token of the best score comes to. */

interface Piece {
  readonly token: string;
  readonly id: number;
  readonly score: number;
}

/** All ways to put a token together of two others, the tokens of better scores first, as transformers' converter orders them. */
export function mergesOf(pieces: readonly Piece[]): (readonly [string, string])[] {
  const ids = new Map(pieces.map(({ token, id }) => [token, id]));
  const byScore = [...pieces].sort((a, b) => b.score - a.score || a.id - b.id);
  return byScore.flatMap(({ token }) => {
    const ways: { readonly pair: readonly [string, string]; readonly ids: readonly [number, number] }[] = [];
    for (let at = 0; at < token.length;) {
      at += String.fromCodePoint(token.codePointAt(at)!).length;
      const [left, right] = [token.slice(0, at), token.slice(at)];
      const [l, r] = [ids.get(left), ids.get(right)];
      if (l !== undefined && r !== undefined) ways.push({ pair: [left, right], ids: [l, r] });
    }
    return ways.sort((a, b) => a.ids[0] - b.ids[0] || a.ids[1] - b.ids[1]).map(({ pair }) => pair);
  });
}
