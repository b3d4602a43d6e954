"""Shell completion: what the Tab key adds, as a script that bash, zsh or fish reads.

A script is a table of words, one program in awk that picks from it, and what each shell needs.
"""

import shlex
from collections.abc import Mapping, Sequence

from experiments.settings.typed_words import Word

# A line of the table: commands, word, kind, whether several values, values, what it is.
# The words typed so far are in WORDS, a line each, the last of them unfinished, and a full stop, as
# shells take away the empty lines at an end.
_PICK = """
BEGIN { FS = "\\t" }
{
  count = split($1, paths, " ")
  for (i = 1; i <= count; i++) {
    path = paths[i] == "-" ? "" : paths[i]
    if ($3 == "command") inner[path] = inner[path] " " $2
    kind[path, $2] = $3; several[path, $2] = $4; values[path, $2] = $5; about[path, $2] = $6
    names[path] = names[path] " " $2
  }
}
function offer(list, path, from, i, count, each) {
  count = split(list, each, " ")
  for (i = 1; i <= count; i++)
    if (index(each[i], from) == 1) print each[i] "\\t" about[path, each[i]]
}
END {
  typed = ENVIRON["WORDS"]
  count = split(substr(typed, 1, length(typed) - 1), words, "\\n")
  current = words[count]
  path = ""
  for (at = 2; at < count && kind[path, words[at]] == "command"; at++)
    path = (path == "" ? "" : path ".") words[at]
  for (i = count - 1; i >= at && words[i] !~ /^-/; i--);
  if (i >= at && (i == count - 1 || several[path, words[i]] == "yes") && current !~ /^-/) {
    asked = kind[path, words[i]]
    if (asked == "choice") { offer(values[path, words[i]], path, current); exit }
    if (asked == "path") { print "FILES"; exit }
    if (asked == "value") exit
  }
  if (current ~ /^-/) offer(names[path], path, current)
  else if (path in inner) offer(inner[path], path, current)
  else print "FILES"
}
"""

_BASH = """# Completion of {program} for bash.
_{program}() {{
  local found line
  COMPREPLY=()
  found=$(printf '%s\\n' {table} |
    WORDS=$(IFS=$'\\n'; printf '%s.' "${{COMP_WORDS[*]:0:COMP_CWORD+1}}") awk {pick})
  if [[ $found == FILES ]]; then
    compopt -o bashdefault -o default 2> /dev/null
    return
  fi
  while IFS= read -r line; do
    [[ $line ]] && COMPREPLY+=("${{line%%$'\\t'*}}")
  done <<< "$found"
}}
complete -F _{program} {program}
"""

_ZSH = """#compdef {program}
# Completion of {program} for zsh.
_{program}() {{
  local found line
  local -a words_and_what
  found=$(printf '%s\\n' {table} | WORDS="${{(F)words[1,CURRENT]}}." awk {pick})
  if [[ $found == FILES ]]; then
    _files
    return
  fi
  for line in "${{(@f)found}}"; do
    [[ -n $line ]] && words_and_what+=("${{line/$'\\t'/:}}")
  done
  _describe {program} words_and_what
}}
if [[ $funcstack[1] == _{program} ]]; then
  _{program} "$@"
else
  compdef _{program} {program}
fi
"""

_FISH = """# Completion of {program} for fish.
function _{program}
    set -l found (printf '%s\\n' {table} |
        env WORDS=(string join \\n -- (commandline -opc) (commandline -ct). | string collect) \\
        awk {pick})
    if test "$found" = FILES
        __fish_complete_path (commandline -ct)
    else
        printf '%s\\n' $found
    end
end
complete --command {program} --no-files --arguments '(_{program})'
"""

SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}
"""What each shell needs, around a program's name, the table and what picks from it."""


def completion_script(shell: str, program: str, words: Mapping[Word, Sequence[str]]) -> str:
    """Return the script that completes a program's command line.

    Args:
        shell: One of `SCRIPTS`.
        program: The name that is typed.
        words: What can be typed, with the commands that each word may follow.
    """
    quote = _quote_for_fish if shell == "fish" else shlex.quote
    table = "\n".join(_line(word, paths) for word, paths in words.items())
    return SCRIPTS[shell].format(program=program, table=quote(table), pick=quote(_PICK))


def _line(word: Word, paths: Sequence[str]) -> str:
    columns = (
        " ".join(path or "-" for path in paths),
        word.name,
        word.kind,
        "yes" if word.several else "no",
        " ".join(word.values),
        word.about,
    )
    return "\t".join(columns)


def _quote_for_fish(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
