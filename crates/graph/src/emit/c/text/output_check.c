        for (int i = 0; i < $N_$U_SIZE; i++) {
            wrong += $L[i] != results$SUFFIX[test][i];
        }
