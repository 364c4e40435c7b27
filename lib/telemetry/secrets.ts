// What is in no record, page or message.

/** Addresses in it are without user, password and token. */
export function withoutSecrets(text: string): string {
  return text.replaceAll(/\b([a-z][a-z0-9+.-]*:\/\/)[^\s'"/…]+@/gi, '$1…@')
}
