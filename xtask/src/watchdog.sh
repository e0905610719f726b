# Parent of a test's server. Arguments: a directory of its own, then the server's command line.
# Reads "run GROUP" and "done" lines about the process group that uses the server. When its input ends (the caller is
# done, or died of whatever: Ctrl-C, SIGTERM, SIGKILL) it ends that group, the server, and removes the directory.
trap '' INT TERM HUP
dir=$1
shift
"$@" >"$dir/log" 2>&1 </dev/null &
server=$!
group=
while read -r word number; do
  case $word in
    run) group=$number ;;
    done) group= ;;
  esac
done
if [ -n "$group" ]; then
  kill -TERM -- "-$group" 2>/dev/null
  for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25; do
    kill -0 -- "-$group" 2>/dev/null || break
    sleep 0.2
  done
  kill -KILL -- "-$group" 2>/dev/null
fi
# PostgreSQL's immediate shutdown: nothing in the directory outlives it
kill -QUIT "$server" 2>/dev/null
wait "$server"
rm -rf "$dir"
