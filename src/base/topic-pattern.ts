/** The regular expression that a white or black list of 0.8 stands for: `,` means "or"; blanks and the quotes around it are dropped. */
export function topicExpression(list: string): string {
  return list
    .trim()
    .replaceAll(',', '|')
    .replaceAll(' ', '')
    .replace(/^["']+/, '')
    .replace(/["']+$/, '')
}

/** For whole names. Throws `SyntaxError`. */
export function topicPattern(expression: string): RegExp {
  return new RegExp(`^(?:${expression})$`)
}
