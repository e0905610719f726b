# Parent of a test's server. Arguments: a directory of its own, the seconds a process gets to end by itself, the
# server's command line. Reads "run GROUP" and "done" lines about the process group that uses the server. When its
# input ends (the caller is done, or died of whatever: Ctrl-C, SIGTERM, SIGKILL) it ends that group and the server, and
# removes the directory.
trap '' INT TERM HUP
dir=$1
grace=$2
shift 2
"$@" >"$dir/log" 2>&1 </dev/null &
server=$!
group=
while read -r word number; do
  case $word in
    run) group=$number ;;
    done) group= ;;
  esac
done

# dash's kill knows no "--".
# end SIGNAL TARGET: the signal, then SIGKILL when the target outlives the grace
end() {
  kill "-$1" "$2" 2>/dev/null || return 0
  left=$((grace * 10))
  while [ "$left" -gt 0 ] && kill -0 "$2" 2>/dev/null; do
    sleep 0.1
    left=$((left - 1))
  done
  kill -KILL "$2" 2>/dev/null
}

[ -z "$group" ] || end TERM "-$group"
# PostgreSQL's immediate shutdown: nothing in the directory has to outlive it
end QUIT "$server"
wait "$server"
rm -rf "$dir"
