"""The command ``dsn-lab completion``: what a shell asks while somebody types ``dsn-lab``.

Settings and their choices come from Hydra, which is asked anew each time: what it offers depends
on what has been typed, as ``dst.growth=`` does on ``dst=``.
"""

import argparse

# Hydra wants the line without the command's second word, and takes COMP_POINT for its end.
SCRIPT = """\
_dsn_lab() {
  local typed=${COMP_LINE:0:$COMP_POINT} word=${COMP_WORDS[$COMP_CWORD]} command=${COMP_WORDS[1]}
  COMPREPLY=()
  if (( COMP_CWORD == 1 )); then
    COMPREPLY=($(compgen -W "@COMMANDS@" -- "$word"))
    [[ ${#COMPREPLY[@]} == 1 ]] && COMPREPLY[0]+=" "
  elif [[ $command == train || $command == sweep ]]; then
    local line="dsn-lab ${typed#*"$command" }"
    local offered=$(COMP_LINE=$line COMP_POINT=${#line} dsn-lab train -sc query=bash 2>/dev/null)
    COMPREPLY=($(compgen -W "$offered" -- "${typed##* }"))
  elif [[ $command == completion ]]; then
    COMPREPLY=($(compgen -W "bash zsh" -- "$word"))
  elif [[ $command == data ]]; then
    COMPREPLY=($(compgen -W "$(dsn-lab data | cut -d' ' -f1)" -- "$word"))
  fi
}
COMP_WORDBREAKS=${COMP_WORDBREAKS//=}
complete -o nospace -o default -F _dsn_lab dsn-lab
"""
ZSH = "autoload -U +X compinit && compinit\nautoload -U +X bashcompinit && bashcompinit\n"
EPILOG = """\
  bash: eval "$(dsn-lab completion bash)"   in ~/.bashrc
  zsh:  eval "$(dsn-lab completion zsh)"    in ~/.zshrc
"""


def main(arguments: list[str] | None = None, prog: str = "dsn-lab completion") -> None:
    """Print the script."""
    from dsn_lab.console import COMMANDS

    parser = argparse.ArgumentParser(
        prog=prog,
        description="Print what makes a shell complete commands, settings and dataset names.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("shell", choices=("bash", "zsh"))
    shell = parser.parse_args(arguments).shell
    print((ZSH if shell == "zsh" else "") + SCRIPT.replace("@COMMANDS@", " ".join(COMMANDS)))
