/** Whether the name is meant, in whatever case: nearly all peers spell one as the RFC does, so that nothing has to be changed. */
export function isNamed(each: { readonly name: string }, name: string): boolean {
  if (each.name.length !== name.length || name === '') return false;
  return each.name === name || each.name.toLowerCase() === name.toLowerCase();
}
